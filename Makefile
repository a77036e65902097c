# The front door. `make demo` and `make test` work on a fresh clone.
#   make demo    install what is missing, build, judge the example outputs
#   make test    the same, then every test
#   make build   build/skillbench
#   make bench   what judging costs, beside its goals (minutes; never a test)
#   make kills   a campaign killed 400 times at random moments: what is lost
#   make docs    the headers as HTML, in build/docs
#   make page    reports/page_asset.hpp anew, from reports/page
#   make gpu     what a GPU adds: tests, proofs and timings on an H100 or H200
#   make clean   remove the build folder

BUILD ?= build
JOBS ?= $(shell nproc)
# Ninja where it is there; a build folder keeps the generator it began with.
GENERATOR := $(if $(wildcard $(BUILD)/CMakeCache.txt),,$(if $(shell command -v ninja),-G Ninja))

.PHONY: demo test build bench kills page docs need configure gpu clean
.DEFAULT_GOAL := build

demo: build
	$(BUILD)/skillbench run examples/outputs

# The page is tested in a browser; where it cannot be had, its tests say so.
test: configure
	@scripts/need page || test -z "$$CI"
	@test -z "$$CI" || scripts/need slurm || true
	@test -z "$$CI" || scripts/need bwrap || true
	cmake --build $(BUILD) -j $(JOBS)
	ctest --test-dir $(BUILD) --output-on-failure -j $(JOBS)

build: configure
	cmake --build $(BUILD) -j $(JOBS) --target skillbench_program

bench: configure
	cmake --build $(BUILD) -j $(JOBS) --target skillbench_bench
	scripts/bench $(BUILD)

page:
	@scripts/need page
	scripts/page make $(BUILD)/page

kills: configure
	cmake --build $(BUILD) -j $(JOBS) --target kills
	$(BUILD)/tests/kills 400

docs:
	@scripts/need docs
	scripts/docs $(BUILD)

gpu: build
	@scripts/gpu $(BUILD)

configure: need
	@cmake -S . -B $(BUILD) $(GENERATOR) --log-level=WARNING

need:
	@scripts/need

clean:
	rm -rf $(BUILD)
