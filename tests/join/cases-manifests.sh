# shellcheck shell=bash disable=SC2154 # pid is start's
# The manifests that follow when the first control plane is up.

manifests() {
    local it
    mkdir -p /etc/nodeimg/manifests
    for it; do echo "kind: $it" >/etc/nodeimg/manifests/"$it"; done
}

applied() {
    tr '\n' ' ' </t/applied
}

case_manifests_are_applied_in_order_once() { # on a controlplane
    seed controlplane init
    lan
    manifests 20-addon.yaml 10-cni.yaml 05-first.yaml README
    join
    equal "$(applied)" '05-first.yaml 10-cni.yaml 20-addon.yaml '
    equal "$(state phase)" joined
    join
    equal "$(applied)" '05-first.yaml 10-cni.yaml 20-addon.yaml '
}

case_a_manifest_is_offered_until_it_is_taken() { # on a controlplane
    seed controlplane init
    lan
    manifests 10-operator.yaml 20-resources.yaml
    printf '20-resources.yaml\n%.0s' 1 2 3 >/t/refuse
    join
    equal "$(applied)" '10-operator.yaml 20-resources.yaml '
    has /t/out '20-resources.yaml was not taken: error: resource mapping not found'
    equal "$(state last_error)" None
    # The node is a member all the while: nothing of kubeadm's is repeated.
    equal "$(calls)" "init $OPENED"
}

case_manifests_that_a_power_cut_stopped_are_applied_again() { # on a controlplane
    seed controlplane init
    lan
    manifests 10-cni.yaml 20-addon.yaml
    echo '20-addon.yaml hangs' >/t/refuse
    start
    power_cut
    rm /t/refuse
    cluster_runs
    join
    equal "$(applied)" '10-cni.yaml 10-cni.yaml 20-addon.yaml '
    equal "$(calls)" "init $OPENED"
}

case_manifests_that_changed_are_applied_again() { # on a controlplane
    seed controlplane init
    lan
    manifests 10-cni.yaml
    join
    echo 'kind: Other' >/etc/nodeimg/manifests/10-cni.yaml
    join
    equal "$(applied)" '10-cni.yaml 10-cni.yaml '
}

case_who_joins_applies_no_manifests() { # on a controlplane
    seed controlplane join
    nic enp0s8 192.168.56.12/24
    echo '[]' >/t/members
    served
    manifests 10-cni.yaml
    join
    gone /t/applied
}
