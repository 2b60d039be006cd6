# shellcheck shell=bash
# The join program, one claim a case. `# on a worker` behind a name lays the worker's overlays.

case_init_forms_the_cluster() { # on a controlplane
    seed controlplane init
    lan
    join
    equal "$(calls)" "init $OPENED"
    has /t/config 'advertiseAddress: 192.168.56.10'
    has /t/config 'value: "192.168.56.10"'
    equal "$(state phase)" joined
    equal "$(state attempts)" 1
    equal "$(state waiting_for)" None
    equal "$(state last_error)" None
    equal "$(state cluster)/$(state node)/$(state address)" demo/n1/192.168.56.10
    has /var/lib/nodeimg/joined cluster=demo
    has /var/lib/nodeimg/joined address=192.168.56.10
    has /dev/console 'nodeimg: cluster demo is formed, n1 is its first control plane'
    has /t/out '<token>'
    has /t/out 'certificate-key <key>'
    no_secret_shown
    mode 600 /etc/nodeimg/kubeadm.yaml
    mode 600 /etc/nodeimg/pki/ca.key
    mode 644 /run/nodeimg/state.json
    gone /run/nodeimg/kubeadm.yaml /run/nodeimg/kubeadm.log /var/lib/nodeimg/attempt
}

case_a_joined_node_does_nothing() { # on a worker
    seed worker join NODEIMG_ENDPOINT=192.168.56.99:6443
    mkdir -p /var/lib/nodeimg /etc/kubernetes
    printf 'cluster=demo\nnode=n1\n' >/var/lib/nodeimg/joined
    echo conf >/etc/kubernetes/kubelet.conf
    join
    equal "$(calls)" ''
    equal "$(state phase)" joined
    gone /etc/nodeimg/kubeadm.yaml
}

case_a_joined_node_stays_in_its_cluster() { # on a worker
    seed worker join NODEIMG_CLUSTER=other
    mkdir -p /var/lib/nodeimg /etc/kubernetes
    printf 'cluster=demo\nnode=n1\n' >/var/lib/nodeimg/joined
    echo conf >/etc/kubernetes/kubelet.conf
    join
    equal "$(calls)" ''
    has /t/out 'n1 stays part of cluster demo; its seed now names other'
}

case_join_waits_for_the_endpoint() { # on a worker
    seed worker join NODEIMG_ENDPOINT=192.168.56.10:6443
    nic enp0s8 192.168.56.11/24
    served 403
    start
    until_state phase endpoint
    equal "$(state waiting_for)" 'the control plane at 192.168.56.10:6443'
    has /dev/console 'nodeimg: waiting for the control plane at 192.168.56.10:6443'
    equal "$(calls)" ''
    echo 200 >/t/status
    finished
    equal "$(calls)" join
    has /t/out 'n1 (192.168.56.11) has joined cluster demo'
    no_secret_shown
    gone /etc/nodeimg/kubeadm.yaml /etc/nodeimg/pki /etc/kubernetes/pki/ca.key
}

case_the_nat_card_is_never_chosen_when_it_is_first() { # on a controlplane
    seed controlplane init
    nic enp0s3 10.0.2.15/24
    nic enp0s8 192.168.56.10/24
    join
    has /t/config 'value: "192.168.56.10"'
}

case_the_nat_card_is_never_chosen_when_it_is_second() { # on a controlplane
    seed controlplane init
    nic enp0s3 192.168.56.10/24
    nic enp0s8 10.0.2.15/24
    join
    has /t/config 'value: "192.168.56.10"'
}

case_an_address_in_the_network_is_awaited() { # on a controlplane
    seed controlplane init
    nic enp0s3 10.0.2.15/24
    start
    until_state phase address
    equal "$(state waiting_for)" 'an address in 192.168.56.0/24'
    nic enp0s8 192.168.56.10/24
    finished
    has /t/config 'value: "192.168.56.10"'
}

case_a_virtual_address_is_not_the_nodes() { # on a controlplane
    seed controlplane init
    nic enp0s8 192.168.56.5/32
    ip addr add 192.168.56.10/24 dev enp0s8
    join
    has /t/config 'value: "192.168.56.10"'
}

case_the_address_the_seed_names_is_the_one() { # on a controlplane
    seed controlplane init NODEIMG_ADDRESS=192.168.56.12
    nic enp0s8 192.168.56.10/24
    start
    until_state phase address
    ip addr add 192.168.56.12/24 dev enp0s8
    finished
    has /t/config 'value: "192.168.56.12"'
}

case_ipv6_networks_work() { # on a controlplane
    seed controlplane init NODEIMG_NODE_CIDR=fd00:56::/64 'NODEIMG_ENDPOINT=[fd00:56::10]:6443'
    nic enp0s3 10.0.2.15/24
    nic enp0s8 fd00:56::10/64
    join
    has /t/config 'value: "fd00:56::10"'
}

case_failed_attempts_are_reset_and_repeated() { # on a controlplane
    seed controlplane init
    lan
    printf 'half\nhalf\n' >/t/fail
    join
    equal "$(calls)" "init reset init reset init $OPENED"
    equal "$(state attempts)" 3
    has /t/out 'attempt 1 failed: error execution phase wait: token <token>: timed out'
    has /t/out 'attempt 2 failed'
    no_secret_shown
}

case_a_failed_join_is_reset_and_repeated() { # on a worker
    seed worker join
    nic enp0s8 192.168.56.11/24
    served
    printf 'half\nhalf\n' >/t/fail
    join
    equal "$(calls)" 'join reset join reset join'
}

case_what_preflight_refuses_needs_no_reset() { # on a controlplane
    seed controlplane init
    lan
    printf 'preflight\npreflight\n' >/t/fail
    join
    equal "$(calls)" "init init init $OPENED"
    has /t/out '[ERROR Port-10250: Port 10250 is in use'
}

case_retries_are_ever_farther_apart_up_to_a_limit() { # on a controlplane
    seed controlplane init NODEIMG_RETRY_FIRST=10 NODEIMG_RETRY_MOST=40
    lan
    printf 'preflight\n%.0s' 1 2 3 4 5 >/t/fail
    join
    # Each pause is its round's delay and up to half of it, by the node's name.
    local lows=(10 20 40 40 40) pauses
    mapfile -t pauses < <(awk '$1 >= 10' /t/slept)
    equal "${#pauses[@]}" 5
    for i in 0 1 2 3 4; do
        [ "${pauses[i]}" -ge "${lows[i]}" ] || fail "pause $i is ${pauses[i]}"
        [ "${pauses[i]}" -le $((lows[i] * 3 / 2)) ] || fail "pause $i is ${pauses[i]}"
    done
}

case_a_node_that_is_ready_from_before_waits_for_the_cluster_to_notice() { # on a worker
    seed worker join NODEIMG_RETRY_FIRST=10 NODEIMG_RETRY_MOST=300
    nic enp0s8 192.168.56.11/24
    served
    printf 'ready\n%.0s' 1 2 3 4 >/t/fail
    join
    equal "$(calls)" 'join reset join reset join reset join reset join'
    has /t/out 'attempt 1 failed: the cluster still takes n1 for Ready, from before'
    # Not ever farther apart: it is a matter of a minute.
    [ "$(awk '$1 > 15' /t/slept)" = '' ] || fail "paused for $(awk '$1 > 15' /t/slept) s"
}
