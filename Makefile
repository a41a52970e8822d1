# Two commands: `make demo` (a simulated door with everything around it) and `make test`.
PY := .venv/bin/python
.PHONY: demo test lint bench eval locks venv venv-dev

demo: venv            ## a simulated door, a community server and a page; Ctrl-C stops it. ARGS="--camera /dev/video0"
	@$(PY) -m agent.cli.main demo $(ARGS)

test: venv-dev lint   ## lint, then every test that this machine can run
	@$(PY) -m pytest $(ARGS)

lint: venv-dev        ## ruff, mypy, import rules
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo

venv:
	@deploy/bootstrap.sh run

venv-dev:
	@deploy/bootstrap.sh dev

locks:                ## resolve the lock files anew (needs uv)
	@deploy/locks/update.sh
