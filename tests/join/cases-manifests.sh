# shellcheck shell=bash disable=SC2154 # pid is start's
# The manifests that follow when the first control plane is up.

manifests() {
    local it
    mkdir -p /etc/nodeimg/manifests
    : >/etc/nodeimg/manifests.list
    for it; do
        echo "kind: $it" >/etc/nodeimg/manifests/"$it.yaml"
        echo "$it /etc/nodeimg/manifests/$it.yaml" >>/etc/nodeimg/manifests.list
    done
}

applied() {
    tr '\n' ' ' </t/applied
}

case_manifests_are_applied_in_order_once() { # on a controlplane
    seed controlplane init
    lan
    manifests operator cni addon
    touch /etc/nodeimg/manifests/unlisted.yaml
    join
    equal "$(applied)" 'operator.yaml cni.yaml addon.yaml '
    equal "$(state phase)" joined
    join
    equal "$(applied)" 'operator.yaml cni.yaml addon.yaml '
}

case_a_manifest_is_offered_until_it_is_taken() { # on a controlplane
    seed controlplane init
    lan
    manifests operator resources
    printf 'resources.yaml\n%.0s' 1 2 3 >/t/refuse
    join
    equal "$(applied)" 'operator.yaml resources.yaml '
    has /t/out 'resources was not taken: error: resource mapping not found'
    equal "$(state last_error)" None
    # The node is a member all the while: nothing of kubeadm's is repeated.
    equal "$(calls)" "init $OPENED"
}

case_manifests_that_a_power_cut_stopped_are_applied_again() { # on a controlplane
    seed controlplane init
    lan
    manifests cni addon
    echo 'addon.yaml hangs' >/t/refuse
    start
    power_cut
    rm /t/refuse
    cluster_runs
    join
    equal "$(applied)" 'cni.yaml cni.yaml addon.yaml '
    equal "$(calls)" "init $OPENED"
}

case_manifests_that_changed_are_applied_again() { # on a controlplane
    seed controlplane init
    lan
    manifests cni
    join
    echo 'kind: Other' >/etc/nodeimg/manifests/cni.yaml
    join
    equal "$(applied)" 'cni.yaml cni.yaml '
}

case_who_joins_applies_no_manifests() { # on a controlplane
    seed controlplane join
    nic enp0s8 192.168.56.12/24
    echo '[]' >/t/members
    served
    manifests cni
    join
    gone /t/applied
}

case_a_first_control_plane_has_its_static_pods_before_it_forms() { # on a controlplane
    seed controlplane init
    lan
    mkdir /etc/nodeimg/static-pods
    echo 'path: /etc/kubernetes/super-admin.conf' >/etc/nodeimg/static-pods/vip.yaml
    join
    equal "$(cat /t/found-pods)" vip.yaml
    equal "$(calls)" "init $OPENED"
    equal "$(cat /etc/kubernetes/manifests/vip.yaml)" 'path: /etc/kubernetes/super-admin.conf'
    mode 600 /etc/kubernetes/manifests/vip.yaml
}

case_a_control_plane_that_joins_has_its_static_pods_after_it() { # on a controlplane
    seed controlplane join
    nic enp0s8 192.168.56.12/24
    echo '[]' >/t/members
    served
    mkdir /etc/nodeimg/static-pods
    echo 'path: /etc/kubernetes/super-admin.conf' >/etc/nodeimg/static-pods/vip.yaml
    join
    equal "$(cat /t/found-pods)" ''
    equal "$(calls)" join
    equal "$(cat /etc/kubernetes/manifests/vip.yaml)" 'path: /etc/kubernetes/admin.conf'
}
