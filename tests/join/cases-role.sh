# shellcheck shell=bash
# Machines without a kubelet: what the seed says of their services is put in place and started. The seeds are the reviewed ones
# of builder/cluster; haproxy and keepalived are this machine's own.

# service_seed ROLE [LINE...]: what cloud-init writes on such a machine.
service_seed() {
    local role=$1
    shift
    seed "$role" serve "$@"
    lan
}
serve() {
    status=0
    timeout 60 /usr/lib/nodeimg/serve >>/t/out 2>&1 || status=$?
    [ $status = "${1:-0}" ] || fail "serve ended with $status"
}

case_a_load_balancer_starts_haproxy_and_keepalived() { # on a loadbalancer
    service_seed loadbalancer
    serve
    equal "$(state phase)" serving
    has /etc/haproxy/haproxy.cfg 'bind 192.168.56.10:8405'
    has /etc/keepalived/keepalived.conf 'interface enp0s8'
    has /etc/keepalived/keepalived.conf 'unicast_src_ip 192.168.56.10'
    mode 600 /etc/keepalived/keepalived.conf
    gone /run/nodeimg/keepalived.conf
    has /t/systemctl 'reload-or-restart haproxy.service'
    has /t/systemctl 'reload-or-restart keepalived.service'
    has /dev/console 'n1 (192.168.56.10) serves cluster demo as loadbalancer: loadbalancer'
}

case_a_second_boot_changes_nothing() { # on a loadbalancer
    service_seed loadbalancer
    serve
    : >/t/systemctl
    serve
    lacks /t/systemctl reload-or-restart
    has /t/systemctl 'start haproxy.service'
}

case_a_changed_seed_is_put_in_place() { # on a loadbalancer
    service_seed loadbalancer
    serve
    sed -i 's/cp2 192.168.56.32/cp2 192.168.56.33/' /etc/nodeimg/service/haproxy.cfg
    : >/t/systemctl
    serve
    has /etc/haproxy/haproxy.cfg 'cp2 192.168.56.33'
    has /t/systemctl 'reload-or-restart haproxy.service'
    lacks /t/systemctl 'reload-or-restart keepalived.service'
}

case_what_haproxy_refuses_is_said_and_not_put_in_place() { # on a loadbalancer
    service_seed loadbalancer NODEIMG_RETRY_FIRST=1
    echo 'nonsense' >>/etc/nodeimg/service/haproxy.cfg
    setsid /usr/lib/nodeimg/serve >>/t/out 2>&1 &
    pid=$!
    until_state phase retry
    kill -- -"$pid"
    has /run/nodeimg/state.json nonsense
    lacks /etc/haproxy/haproxy.cfg kubernetes-api
}

case_a_service_waits_for_its_address() { # on a loadbalancer
    service_seed loadbalancer
    ip addr del 192.168.56.10/24 dev enp0s8
    setsid /usr/lib/nodeimg/serve >>/t/out 2>&1 &
    pid=$!
    until_state phase address
    ip addr add 192.168.56.10/24 dev enp0s8
    wait "$pid" || fail "serve ended with $?"
    equal "$(state phase)" serving
}

case_an_image_of_another_role_is_refused() { # on a storage
    service_seed loadbalancer
    serve 78
    equal "$(state phase)" misconfigured
}

case_storage_makes_its_folders_and_exports_them() { # on a storage
    service_seed storage
    serve
    [ -d /srv/nfs ] || fail 'the first folder is missing'
    [ -d /srv/backup ] || fail 'the second folder is missing'
    has /etc/exports.d/nodeimg.exports '/srv/nfs 192.168.56.0/24(rw,'
    has /t/systemctl 'reload-or-restart nfs-server.service'
    equal "$(cat /t/exportfs)" -r
}

case_etcd_has_its_keys_to_itself() { # on a etcd
    service_seed etcd
    serve
    has /etc/etcd/etcd.yaml 'https://192.168.56.10:2379'
    mode 600 /etc/etcd/pki/server.key
    mode 644 /etc/etcd/pki/server.crt
    equal "$(stat -c %U /etc/etcd/pki/peer.key)" etcd
    has /t/systemctl '--no-block restart etcd.service'
}

# etcd_begins LISTED...: what etcd is told by `begin-etcd` on a machine without data, the others listing these members (without a
# word they do not answer), and what those were asked for.
etcd_begins() {
    service_seed etcd
    serve
    mkdir -p /run/etcd /t/bin
    [ $# = 0 ] || printf '%s\n' "$@" >/t/listed
    printf '%s\n' '#!/bin/sh' 'echo "$*" | sed "s/.*command-timeout=[^ ]* //" >>/t/etcdctl' \
        'case $* in *"member list") cat /t/listed ;; esac' >/t/bin/etcdctl
    chmod 755 /t/bin/etcdctl
    : >/t/etcdctl
    mv /usr/lib/nodeimg/probe /t/probe
    # Another member listens from the third time on that it is asked, if it answers at all.
    cat >/usr/lib/nodeimg/probe <<'END'
#!/bin/sh
[ "$1" = listens ] || exec /t/probe "$@"
echo "$2" >>/t/probed
[ -e /t/listed ] && [ "$(wc -l </t/probed)" -ge 3 ]
END
    chmod 755 /usr/lib/nodeimg/probe
    PATH=/t/bin:$PATH /usr/lib/nodeimg/begin-etcd >>/t/out 2>&1
    sed -n 's/^initial-cluster-state: //p' /run/etcd/etcd.yaml | cat - /t/etcdctl | paste -sd ';'
}
OTHER='9a, started, etcd2, https://192.168.56.12:2380, https://192.168.56.12:2379, false'
ADD='member add etcd1 --peer-urls=https://192.168.56.10:2380'

case_a_first_member_of_etcd_founds() { # on a etcd
    equal "$(etcd_begins)" new
    equal "$(sort -u /t/probed | paste -sd ' ')" '192.168.56.12:2380 192.168.56.13:2380'
    equal "$(wc -l </t/probed)" 42
}

case_a_founder_that_comes_late_founds() { # on a etcd
    equal "$(etcd_begins "$OTHER" '7f, started, etcd1, https://192.168.56.10:2380, , false')" 'new;member list'
}

case_a_member_of_etcd_whose_data_are_gone_is_taken_out_and_in_again() { # on a etcd
    equal "$(etcd_begins "$OTHER" '7f, started, etcd1, https://192.168.56.10:2380, https://192.168.56.10:2379, false')" \
        "existing;member list;member remove 7f;$ADD"
    has /dev/console 'etcd: the data of member etcd1 are gone'
}

case_a_member_of_etcd_that_was_taken_out_is_added() { # on a etcd
    equal "$(etcd_begins "$OTHER")" "existing;member list;$ADD"
}

case_a_member_of_etcd_that_was_added_comes() { # on a etcd
    equal "$(etcd_begins "$OTHER" '7f, unstarted, , https://192.168.56.10:2380, , false')" 'existing;member list'
}

case_a_member_of_etcd_with_data_asks_nobody() { # on a etcd
    mkdir -p /var/lib/etcd/member/wal
    : >/var/lib/etcd/member/wal/0000000000000000-0000000000000000.wal
    equal "$(etcd_begins "$OTHER")" new
}

case_step_ca_has_the_key_of_its_authority() { # on a ca
    service_seed ca
    serve
    has /etc/step-ca/ca.json '"address": "192.168.56.10:443"'
    equal "$(stat -c '%U %a' /etc/step-ca/intermediate.key)" 'step-ca 600'
    has /t/systemctl 'reload-or-restart step-ca.service'
}

case_the_administrator_gets_a_kubeconfig_once() { # on a admin
    useradd --create-home jane
    service_seed admin NODEIMG_ADMIN=jane
    # The seed has nothing for this folder, so nobody makes it.
    gone /etc/nodeimg/service
    serve
    equal "$(stat -c '%U %a' /home/jane/.kube/config)" 'jane 600'
    mode 600 /etc/nodeimg/admin.conf
    echo mine >/home/jane/.kube/config
    serve
    equal "$(cat /home/jane/.kube/config)" mine
}
