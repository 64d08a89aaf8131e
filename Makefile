# make demo    train and evaluate on the embedded data set, write a page of pictures
# make test    lint, types and every test but the slow ones      make slow   the slow ones
# make lint    ruff and mypy                     make bench  what exchange costs in time
# make docs    the documentation as pages, in site/
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DATA := data/rooms
RUN := runs/demo
SEED ?= 0

.PHONY: demo test slow lint bench docs peers serve-test clean

# The pinned versions. On Linux, plain "torch" from PyPI is a build with CUDA, several GB large;
# where a CPU build is offered, the pin takes it.
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) (some minutes); its commands, such as cen, are then in $(BIN)."
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[test]"
	touch $@

$(VENV): $(STAMP)

# dataset.yaml is written last: with it there, the data set is whole.
$(DATA)/dataset.yaml: | $(STAMP)
	$(BIN)/cen data rooms $(DATA) --layout nyudv2 --labels parts --workers 2

# What was trained in RUN is never deleted: an interrupted run is gone on with, a finished one kept.
demo: $(STAMP) $(DATA)/dataset.yaml
	@if test -f $(RUN)/run.json; then \
		echo "$(RUN) is there: it is kept, and gone on with if not finished. To train anew: rm -rf $(RUN)"; \
		$(BIN)/cen train --resume $(RUN); \
	else \
		echo "Training; interrupted with Ctrl-C, make demo goes on."; \
		$(BIN)/cen train rooms-demo --data.root $(DATA) --out $(RUN) --seed $(SEED); \
	fi
	$(BIN)/cen evaluate $(RUN)
	$(BIN)/cen inspect $(RUN)
	$(BIN)/cen report $(RUN)
	@echo "Open $(CURDIR)/$(RUN)/report.html in a browser."

# One thread per process: two test processes share two cores.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow"

slow: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP)
	$(BIN)/cen bench exchange

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# An environment of their own: torchvision, which they bring, may not fit the build of torch.
peers:
	test -x .venv-peers/bin/python || $(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet -c constraints.txt torch
	.venv-peers/bin/python -m pip install --quiet -c constraints.txt -e ".[test,peers]"
	OMP_NUM_THREADS=1 .venv-peers/bin/python -m pytest tests/peers tests/folding/test_exactness.py \
		tests/models tests/cli/test_other_networks.py tests/cli/test_shipped_configurations.py

# The page of cen serve, in a browser where Chromium is installed.
serve-test: $(STAMP)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[test,serve]"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/serving tests/cli/test_serve.py

clean:
	rm -rf build dist *.egg-info src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
