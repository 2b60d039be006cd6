# shellcheck shell=bash
# What comes before kubeadm: clock, packages, containerd, the seed itself; and the two other programs of the image.

BUILD_TIME=1785888000

case_a_clock_before_the_build_is_set_to_it() { # on a controlplane
    seed controlplane init
    lan
    rm /t/synchronised
    echo $((1609459200 - $(/bin/date +%s))) >/t/offset # 2021-01-01
    join
    has /t/out 'the clock says 2021-01-01, before this image was made: set to 2026-08-05'
    [ "$(date +%s)" -ge $BUILD_TIME ] || fail 'the clock was not set'
}

case_the_seeds_own_time_is_a_floor_too() { # on a controlplane
    seed controlplane init NODEIMG_TIME_FLOOR=$((BUILD_TIME + 86400 * 30))
    lan
    echo $((BUILD_TIME - $(/bin/date +%s))) >/t/offset
    join
    has /t/out 'set to 2026-09-04'
}

case_a_right_clock_is_left_alone() { # on a controlplane
    seed controlplane init
    lan
    echo $((BUILD_TIME + 1000 - $(/bin/date +%s))) >/t/offset
    cp /t/offset /t/offset.before
    join
    cmp /t/offset /t/offset.before || fail 'the clock was set'
}

case_time_servers_are_awaited_only_so_long() { # on a controlplane
    seed controlplane init NODEIMG_CLOCK_WAIT=300
    lan
    rm /t/synchronised
    touch /t/timesyncd
    join
    has /t/out 'waiting for a time server, at most 300 s'
    # Polls of three seconds, and nothing else before kubeadm.
    equal "$(head -n 100 /t/slept | awk '{ n += $1 } END { print n }')" 300
    [ "$(wc -l </t/slept)" -lt 110 ] || fail 'waited on'
}

case_a_time_server_that_answers_ends_the_wait() { # on a controlplane
    seed controlplane init NODEIMG_CLOCK_WAIT=100000
    lan
    rm /t/synchronised
    touch /t/timesyncd
    start
    until_state phase clock
    touch /t/synchronised
    finished
}

case_unfinished_packages_are_awaited() { # on a controlplane
    seed controlplane init
    lan
    mkdir -p /var/lib/nodeimg
    touch /var/lib/nodeimg/packages-pending
    start
    until_state phase packages
    rm /var/lib/nodeimg/packages-pending
    finished
}

case_containerd_is_awaited() { # on a controlplane
    seed controlplane init
    lan
    rm /t/containerd
    start
    until_state phase containerd
    touch /t/containerd
    finished
}

case_a_wrong_seed_fails_and_says_why() { # on a controlplane
    lan
    for wrong in NODEIMG_ACTION=leave NODEIMG_NODE_CIDR= NODEIMG_NODE_CIDR=192.168.56.0/99 NODEIMG_POLL=soon \
        NODEIMG_ADDRESS=10.9.8.7; do
        seed controlplane init "$wrong"
        join 78
        equal "$(state phase)" misconfigured
        has /t/out 'the seed is wrong: '
        : >/t/out
    done
    seed controlplane init
    rm /etc/nodeimg/kubeadm.yaml
    join 78
    has /t/out 'kubeadm.yaml is missing'
    equal "$(calls)" ''
}

case_a_seed_is_data_not_a_program() { # on a controlplane
    # shellcheck disable=SC2016 # not to be expanded
    seed controlplane init 'NODEIMG_CLUSTER=$(touch /t/ran)' 'touch /t/ran' 'PATH=/nowhere' 'NODEIMG_NODE="it\"s `touch /t/ran`"'
    lan
    join
    gone /t/ran
    # shellcheck disable=SC2016
    equal "$(state cluster)" '$(touch /t/ran)'
}

case_a_seed_for_another_role_or_version_is_remarked() { # on a worker
    seed controlplane init NODEIMG_KUBERNETES_VERSION=v1.35.0
    lan
    join
    has /t/out "the seed is a controlplane's, the image is a worker's (worker-amd64)"
    has /t/out 'the cluster is made for Kubernetes 1.35.0, the image holds 1.36.2'
}

# A dpkg that says what the next run leaves: /t/dpkg holds "ok" or "broken".
fake_dpkg() {
    mkdir -p /t/bin /var/lib/nodeimg
    touch /var/lib/nodeimg/packages-pending
    cat >/t/bin/dpkg-query <<'S'
#!/bin/sh
printf 'installed bash\nunpacked containerd\nhalf-configured runc\nconfig-files old\n'
S
    cat >/t/bin/dpkg <<'S'
#!/bin/sh
echo "$*" >>/t/calls
case $* in
--audit) [ "$(cat /t/dpkg)" = ok ] || echo 'runc is half configured' ;;
*) /usr/sbin/policy-rc.d; echo "policy $?" >>/t/calls; [ "$DEBIAN_FRONTEND" = noninteractive ] && [ "$(cat /t/dpkg)" != fails ] ;;
esac
S
    chmod +x /t/bin/*
    PATH=/t/bin:$PATH
}

case_packages_are_finished_once() { # on a worker
    fake_dpkg
    echo ok >/t/dpkg
    /usr/lib/nodeimg/finish-packages >/t/out
    has /t/out 'finishing packages on first boot: containerd runc'
    has /t/calls '--force-confdef --force-confold --configure --pending'
    has /t/calls 'policy 101'
    has /t/systemctl '--no-block start default.target'
    gone /var/lib/nodeimg/packages-pending /usr/sbin/policy-rc.d
}

case_the_owners_own_policy_for_services_stays() { # on a worker
    fake_dpkg
    echo ok >/t/dpkg
    printf '#!/bin/sh\nexit 104\n' >/usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
    /usr/lib/nodeimg/finish-packages >/t/out
    has /t/calls 'policy 104'
    has /usr/sbin/policy-rc.d 'exit 104'
}

case_packages_that_fail_are_tried_again() { # on a worker
    fake_dpkg
    for how in fails broken; do
        echo $how >/t/dpkg
        ! /usr/lib/nodeimg/finish-packages >/t/out || fail "ended well though dpkg $how"
        has /dev/console 'containerd runc'
        [ -e /var/lib/nodeimg/packages-pending ] || fail 'the mark is gone'
        gone /usr/sbin/policy-rc.d
    done
}

case_the_network_is_awaited_only_so_long() { # on a worker
    /usr/lib/nodeimg/wait-online
    equal "$(wc -l </t/slept)" 20
    : >/t/slept
    nic enp0s8 192.168.56.11/24
    /usr/lib/nodeimg/wait-online
    equal "$(wc -l </t/slept)" 5
    : >/t/slept
    ip route add default via 192.168.56.1
    /usr/lib/nodeimg/wait-online
    equal "$(wc -l </t/slept)" 0
}
