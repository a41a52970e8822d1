"""The phone page on a free loopback port, as a process that a test can kill: prints the port, then serves."""

import sys
import time
from email.utils import formatdate

from flask import Flask
from waitress import create_server

from deploy.phone.serve import blueprint

app = Flask("phone-test")
app.register_blueprint(blueprint())


@app.after_request
def date(response):
    """A server whose clock is `argv[1]` seconds ahead of this machine's."""
    response.headers["Date"] = formatdate(time.time() + float(sys.argv[1]), usegmt=True)
    return response


server = create_server(app, host="127.0.0.1", port=0)
sys.stdout.write(f"{server.effective_port}\n")
sys.stdout.flush()
server.run()
