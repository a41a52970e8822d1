"""The parts of the vision process; agent/vision_worker.py is its loop, agent/vision_link.py the agent's end."""
