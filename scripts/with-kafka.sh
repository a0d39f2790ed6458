#!/usr/bin/env bash
# Runs a command beside a real Apache Kafka: scripts/with-kafka.sh COMMAND [ARGUMENT...]
#
# The broker (KRaft, one node, topics only if they are created) gets free ports and a folder of its own, and its address
# is in MODELMILL_TEST_KAFKA. However the command ends, also by a signal to this script, the broker is stopped, its folder
# removed, and the command's exit code kept; several of these may run at once. Without a command the broker runs until
# Ctrl-C. If MODELMILL_TEST_KAFKA is set already, that broker is used and none started.
set -euo pipefail
jars=$(cd "$(dirname "$0")/.." && pwd)/.deps/kafka/libs
log4j=$(cd "$(dirname "$0")" && pwd)/kafka-log4j2.xml
readonly start_tries=5 start_seconds=120

folder="" command="" signal=""

main() {
    trap 'on_signal INT' INT
    trap 'on_signal TERM' TERM
    trap 'on_signal HUP' HUP
    trap clean_up EXIT
    if [[ -z ${MODELMILL_TEST_KAFKA:-} ]]; then
        start_broker
    fi
    if [[ $# -eq 0 ]]; then
        echo "Kafka answers at $MODELMILL_TEST_KAFKA until Ctrl-C"
        set -- sleep infinity
    fi
    run "$@"
}

# The command, in the background, so that a signal is acted upon at once and not when the command ends.
run() {
    local code=0 input=0
    # A background job that reads a terminal is stopped by it for ever.
    if [[ -t 0 ]]; then
        exec {input}</dev/null
    fi
    in_own_group "$@" <&"$input"
    command=$!
    while :; do
        signal=""
        wait "$command" && code=0 || code=$?
        # A trapped signal ends `wait` early; the command is given its time to finish.
        [[ -n $signal ]] || break
    done
    command=""
    exit "$code"
}

# Starts a job that a Ctrl-C does not reach: it reaches this script alone, which ends the command before the broker.
in_own_group() {
    set -m
    "$@" &
    set +m
}

# shellcheck disable=SC2329 # called by a trap
on_signal() {
    signal=$1
    if [[ -n $command ]]; then
        kill -s "$1" -- "-$command" 2>/dev/null || true
    else
        exit $((128 + $(kill -l "$1")))
    fi
}

# shellcheck disable=SC2329 # called by a trap
clean_up() {
    trap '' INT TERM HUP
    end_jobs
    if [[ -n $folder ]]; then
        rm -rf "$folder"
    fi
}

# No farewell from the broker to its cluster: it is a cluster of one, and its data goes with it.
end_jobs() {
    local job
    for job in $(jobs -p); do
        kill -s KILL -- "-$job" 2>/dev/null || true
        wait "$job" 2>/dev/null || true
    done
}

start_broker() {
    local try
    if [[ ! -d $jars ]]; then
        echo "with-kafka: the jars of Apache Kafka are not in .deps/kafka/libs; scripts/setup.sh fetches them" >&2
        exit 1
    fi
    folder=$(mktemp -d "${TMPDIR:-/tmp}/modelmill-kafka.XXXXXX")
    # Between choosing a port and taking it, somebody else may take it: then again, with others.
    for ((try = 1; try <= start_tries; try++)); do
        rm -rf "${folder:?}"/*
        configure
        if format && launch; then
            export MODELMILL_TEST_KAFKA=127.0.0.1:$port
            return
        fi
        end_jobs
        grep -q -e 'Address already in use' -e 'Socket server failed to bind' "$folder"/*.log || break
    done
    echo "with-kafka: Apache Kafka did not start; the end of what it says:" >&2
    tail -n 40 "$folder"/*.log >&2
    exit 1
}

configure() {
    port=$(free_port)
    controller_port=$(free_port)
    cat >"$folder/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller_port
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:$controller_port
log.dirs=$folder/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=4194304
PROPERTIES
}

# Below the range out of which the system takes ports for outgoing connections, so that none of them is in the way.
free_port() {
    local candidate
    while :; do
        candidate=$((20000 + SRANDOM % 12000))
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$candidate") 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
}

format() {
    local cluster
    cluster=$(head -c 16 /dev/urandom | base64 | tr '+/' 'AB' | tr -d '=')
    in_own_group kafka_java -XX:TieredStopAtLevel=1 kafka.tools.StorageTool format \
        --cluster-id "$cluster" --config "$folder/server.properties" >"$folder/format.log" 2>&1 </dev/null
    wait "$!"
}

# The broker has started when it says so and takes connections; its log is its own, so it is no other broker that says it.
launch() {
    local deadline=$((SECONDS + start_seconds))
    local broker
    in_own_group kafka_java kafka.Kafka "$folder/server.properties" >"$folder/console.log" 2>&1 </dev/null
    broker=$!
    while kill -0 "$broker" 2>/dev/null && ((SECONDS < deadline)); do
        if grep -qs 'Kafka Server started' "$folder/broker.log" && (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            return
        fi
        sleep 0.1
    done
    return 1
}

# Dies with this script, even when that is killed too hard to clean up.
# shellcheck disable=SC2329 # called by way of in_own_group
kafka_java() {
    exec setpriv --pdeathsig KILL java -Xms512m -Xmx512m -XX:+UseSerialGC -XX:-UsePerfData \
        -Dmodelmill.kafka.folder="$folder" -Dlog4j2.configurationFile="$log4j" -cp "$jars/*" "$@"
}

main "$@"
