# shellcheck shell=bash disable=SC2154 # pid is start's
# Power cuts: what kubeadm left half-done, and what must not be undone.

case_a_power_cut_during_init_is_repaired() { # on a controlplane
    seed controlplane init
    lan
    echo hang >/t/fail
    start
    power_cut
    join
    equal "$(calls)" "init reset init $OPENED"
    equal "$(state phase)" joined
}

case_a_power_cut_during_join_is_repaired() { # on a worker
    seed worker join
    nic enp0s8 192.168.56.11/24
    served
    echo hang >/t/fail
    start
    power_cut
    join
    equal "$(calls)" 'join reset join'
}

# From the moment others may have joined, a cluster is completed, never reset.
case_a_power_cut_while_the_cluster_opens_loses_nobody() { # on a controlplane
    lan
    for phase in $OPENED; do
        seed controlplane init
        : >/t/calls
        echo "$phase hang" >/t/fail-phase
        start
        power_cut
        cluster_runs
        join
        equal "$(calls)" "init ${OPENED%"$phase"*}$phase $OPENED"
        equal "$(state phase)" joined
        kill %% 2>/dev/null
        wait
        rm -rf /var/lib/nodeimg /etc/kubernetes /var/lib/kubelet /var/lib/etcd
    done
}

case_an_open_cluster_waits_for_its_api_server_without_end() { # on a controlplane
    seed controlplane init
    lan
    echo 'addon hang' >/t/fail-phase
    start
    power_cut
    start
    until_state phase api
    until [ "$(wc -l </t/slept)" -gt 300 ]; do /bin/sleep 0.05; done # fifteen minutes
    lacks /t/calls reset
    cluster_runs
    finished
    lacks /t/calls reset
}

case_a_failed_opening_is_repeated() { # on a controlplane
    seed controlplane init
    lan
    echo 'addon fail' >/t/fail-phase
    join
    equal "$(calls)" "init $OPENED $OPENED"
}

case_a_power_cut_before_the_first_byte_of_a_mark_is_no_mark() { # on a controlplane
    seed controlplane init
    lan
    mkdir -p /var/lib/nodeimg
    touch /var/lib/nodeimg/formed.new /var/lib/nodeimg/joined.new
    join
    equal "$(calls)" "init $OPENED"
}
