# Everything a newcomer needs: `make demo` and `make test` set up on their own.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Hospitals share these machines: one thread a process, and nothing phones home.
export OMP_NUM_THREADS ?= 1
export FLWR_TELEMETRY_ENABLED := 0
export FLWR_DISABLE_UPDATE_CHECK := 1

.PHONY: setup demo test test-deployment lint format bench fuzz fuzz-ports soak proto clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,ray]'
	touch $@

demo: setup
	rm -rf demo/run
	$(BIN)/consilium hospitals create demo/hospitals --sites 4 --patients 400 --seed 7 --archives lung-nodule
	$(BIN)/consilium simulate lung-nodule --hospitals demo/hospitals --run demo/run
	$(BIN)/consilium audit ledger demo/run
	@echo "The report: demo/run/report.html"

test: setup
	$(BIN)/pytest -n 2 --dist loadfile

# Everything with real processes: hostile parties, kills, pulled cables, garbage; a quarter of an hour.
test-deployment: setup
	$(BIN)/pytest -n 2 --dist loadfile -m "" tests/e2e

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: bench-simulation bench-privacy

bench-%: setup
	$(BIN)/python -m benchmarks.$*

# A thousand kills of a deployment's processes; the model and the books must not notice.
soak: setup
	PYTHONPATH=tests/helpers $(BIN)/python tests/e2e/soak.py --kills 1000

# Ten minutes of garbage on every port of a deployment.
fuzz-ports: setup
	CONSILIUM_FUZZ_SECONDS=600 $(BIN)/pytest -s tests/e2e/test_ports.py

# 10,000 broken DICOM files; the suite runs a few. FUZZ_SEED=N tries others.
fuzz: setup
	FUZZ_COUNT=$${FUZZ_COUNT:-10000} $(BIN)/pytest -s tests/fuzz

# Writes the control plane's stubs anew; needs grpcio-tools 1.76, which nothing else does.
proto: setup
	$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. --grpc_python_out=. common/proto/site_control.proto

clean:
	rm -rf $(VENV) build *.egg-info runs demo hospitals .pytest_cache .mypy_cache .ruff_cache
