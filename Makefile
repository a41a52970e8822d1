# Two commands: `make demo` (a simulated door with everything around it) and `make test`.
PY := .venv/bin/python
.PHONY: demo test lint bench eval attack chaos tamper powercut fleet cluster strangers disk-full wire rig locks venv venv-dev
DATA ?= ../shared/data
PICTURES ?= build/evaluation
EVENTS ?= 2000
SEED ?= 1
N ?= 200
unexport PYTHONDONTWRITEBYTECODE  # set in many containers: each process that a test starts would compile the whole tree

demo: venv            ## a simulated door, a community server and a page; Ctrl-C stops it. ARGS="--camera /dev/video0"
	@$(PY) -m agent.cli.main demo $(ARGS)

# a process for each core and one more: many tests wait for processes of their own; exit status 5: ARGS named no test of this half
TOGETHER := -n $(shell expr $$(nproc) + 1) --maxprocesses 4 --dist loadfile --no-loadscope-reorder
test: venv-dev lint   ## lint, then every test that this machine can run; ARGS="tests/app -x"
	@$(PY) -m pytest $(TOGETHER) -m "not alone" $(ARGS) || [ $$? = 5 ]
	@$(PY) -m pytest -m alone $(ARGS) || [ $$? = 5 ]

lint: venv-dev        ## ruff, mypy, import rules
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo

eval: venv-dev        ## face figures on DATA, with curves in PICTURES
	@.venv/bin/door-agent evaluate faces --data $(DATA) --pictures $(PICTURES) $(ARGS)
	@.venv/bin/door-agent evaluate attacks --data $(DATA) --pictures $(PICTURES) $(ARGS)

bench: venv-dev       ## this pipeline against the usual recipe, in one run
	@.venv/bin/door-agent bench faces $(ARGS)

chaos: venv-dev       ## kill -9 broker, agent and server at random: EVENTS=… SEED=…
	@$(PY) -m tests.faults.chaos --events $(EVENTS) --seed $(SEED) $(ARGS)

tamper: venv-dev      ## edit, cut, reorder and roll back the journal in N ways
	@$(PY) -m tests.faults.tamper --n $(N) $(ARGS)

powercut: venv-dev    ## cut the virtual device's card N times while events are written (root; tests/device/README.md)
	@$(PY) -m tests.device powercut --cuts $(N) --seconds 30 $(ARGS)

.PHONY: fuzz
fuzz: venv-dev        ## hostile bytes for everything that parses: N=10000000 ARGS="--processes 2"
	@$(PY) -m tests.fuzz.fuzz --n $(N) $(ARGS)

attack: venv-dev      ## forged, replayed, late and altered commands and passes; none may open: N=1000000
	@$(PY) -m tests.attack.campaign --n $(N) $(ARGS)

fleet: venv-dev       ## N doors against one broker that dies half-way; table, and a picture in build/fleet.png
	@$(PY) -m tests.faults.fleet --doors $(N) --picture build/fleet.png $(ARGS)

cluster: venv-dev     ## the same on three RabbitMQ nodes, one killed: N=60 ARGS="--root DIR" (tests/faults/README.md)
	@$(PY) -m tests.faults.cluster --doors $(N) $(ARGS)

strangers: venv-dev   ## N attempts of a door to speak, listen or pose as another
	@$(PY) -m tests.faults.strangers --n $(N) $(ARGS)

disk-full: venv-dev   ## a real disk runs full under a running door (root)
	@$(PY) -m tests.faults.disk_full $(ARGS)

wire: venv-dev        ## a day of scenes with the cable tapped: nothing of a person in it
	@$(PY) -m tests.faults.wire $(ARGS)

rig: venv-dev         ## device tests on the virtual device (root; see tests/device/README.md)
	@$(PY) -m tests.device $(ARGS)

venv:
	@deploy/bootstrap.sh run

venv-dev:
	@deploy/bootstrap.sh dev

locks:                ## resolve the lock files anew (needs uv)
	@deploy/locks/update.sh
