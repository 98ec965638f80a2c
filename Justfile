# `./dev RECIPE` installs what is missing and then runs these; plain `just RECIPE` runs them with what is there.

set shell := ["sh", "-eu", "-c"]

target := env("CARGO_TARGET_DIR", justfile_directory() / "target")
bed := target / "debug/platform-bed"
platform := target / "debug/platform"
fuzz := env("XDG_CACHE_HOME", env("HOME") / ".cache") / "platform-dev/fuzz"
peer := env("XDG_CACHE_HOME", env("HOME") / ".cache") / "platform-dev/tools/dbos"

# build the program, bring the starter platform up on the sandbox, and say how to look and how to remove it
up:
    @cargo build -q -p platform-cli
    @{{ platform }} up
    @echo
    @{{ platform }} sandbox status
    @echo
    @echo "look:    kubectl --kubeconfig $({{ platform }} sandbox kubeconfig) get applications -A"
    @echo "again:   {{ platform }} up        (changes nothing)"
    @echo "remove:  ./dev down"

# remove what `up` made, and stop the sandbox
down:
    @cargo build -q -p platform-cli
    @{{ platform }} down --yes
    @{{ platform }} sandbox stop

# everything a change must pass before it is pushed: formatting, lints, licences and sources, layers
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo deny --log-level warn check bans licenses sources
    cargo test -q -p platform-tests --test arch --test error_pages --test tidy

# Those that want the bed or real nodes wait for each other: as many threads as may be waiting, and then some for the others, which
# take turns by themselves.
threads := env("RUST_TEST_THREADS", "32")

# all tests, those on the bed of real components included
test: tools build
    RUST_TEST_THREADS={{ threads }} cargo test --workspace

# only the tests on the bed
e2e *ARGS: tools build
    RUST_TEST_THREADS={{ threads }} cargo test -p platform-tests {{ ARGS }}

# the tests on the bed with everything that takes long: all 25 random kills
e2e-long *ARGS: tools build
    RUST_TEST_THREADS={{ threads }} PLATFORM_E2E_LONG=1 cargo test -p platform-tests {{ ARGS }}

# measure the engine, release build, as one table; `just bench resume memory` measures only these parts, `just bench nodes` real nodes next to kind
bench *PARTS:
    #!/bin/sh
    set -eu
    # the peer is wanted by the part `chain` alone; without it that part says so
    case " {{ PARTS }} " in "  " | *" chain "*) tests/tools/peer "{{ peer }}" || true ;; esac
    [ ! -x "{{ peer }}/bin/python" ] || export PLATFORM_BENCH_PEER="{{ peer }}/bin/python"
    # a part of its own: it makes eleven clusters of real nodes
    case " {{ PARTS }} " in " nodes ")
      cargo build -q --release -p platform-cli
      exec cargo bench -q -p platform-tests --bench nodes ;;
    esac
    exec cargo bench -q -p platform-state --bench engine -- {{ PARTS }}

# random schedules of kills, faults and wrong clocks in virtual time, release build: `just storm 10000`; a flaw prints how to replay it
storm COUNT="1000" SEED="1":
    @cargo run -q --release -p platform-cli -- simulate up -f tests/fixtures/storm.yaml --storm {{ COUNT }} --seed {{ SEED }}

# one Argo CD and COUNT clusters with an application each in virtual time, release build: `just many 1000`
many COUNT="1000":
    #!/bin/sh
    set -eu
    cargo build -q --release -p platform-cli
    spec=$(mktemp)
    trap 'rm -f "$spec"' EXIT
    awk -v count={{ COUNT }} '{ print }
      /name: hub,/ { for (i = 1; i < count; i++) printf "    - {name: c%04d, cell: c%04d, provider: there, environments: [dev]}\n", i, i }' \
      tests/fixtures/many.yaml >"$spec"
    measure=$(command -v time || true)
    ${measure:+"$measure" -f "%e s, %M KB"} "${CARGO_TARGET_DIR:-target}/release/platform" simulate up -f "$spec"

# search for inputs that break what must hold (spec parser, journal, plugin protocol, server-side apply), 60 s each; `just fuzz 600`
fuzz SECONDS="60":
    #!/bin/sh
    set -eu
    # No sanitizer: there is no unsafe code of ours, and without one any compiler will do. What is found on the way stays in
    # the cache; an input that breaks something lies in fuzz/artifacts, and belongs into fuzz/corpus once it is mended.
    for target in spec journal plugin merge; do
      own="{{ fuzz }}/corpus/$target"
      mkdir -p "$own"
      seeds="fuzz/corpus/$target"
      [ "$target" != spec ] || seeds="$seeds tests/fixtures/specs tests/fixtures/bad-specs"
      echo "fuzz: $target, {{ SECONDS }} s" >&2
      cargo fuzz run --fuzz-dir fuzz -s none --target-dir "{{ fuzz }}/target" "$target" "$own" $seeds -- \
        -max_total_time={{ SECONDS }} -timeout=10 -rss_limit_mb=2048 -verbosity=0 -print_final_stats=1
    done

# build the real components of the bed (once; about 25 minutes on two cores), and install the SDK that judges object stores
tools *TOOLS:
    #!/bin/sh
    set -eu
    tests/tools/boto3 || [ "${CI:-}" != true ]
    if command -v go >/dev/null || [ -z "$(tests/tools/build --missing)" ]; then
        exec tests/tools/build {{ TOOLS }}
    fi
    echo "skipped: the bed's components are not built and there is no Go to build them; tests on the bed will say so" >&2
    [ "${CI:-}" != true ] || exit 1

# the starter platform on a bed of real components; `just bed down` removes both
bed-starter: build tools
    {{ bed }} up
    {{ bed }} starter

# the bed for people: `just bed up`, `just bed env`, `just bed exec -- kubectl get pods -A`, `just bed down`
[positional-arguments]
bed *ARGS: build
    @{{ bed }} "$@"

# the program and the bed, debug build
build:
    cargo build -q -p platform-cli -p platform-tests
