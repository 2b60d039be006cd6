# shellcheck shell=bash
# Secrets leave the seed once the machine has them.

nocloud=/var/lib/cloud/seed/nocloud

# A seed as the builder writes it, and what cloud-init made of it.
seeded() {
    mkdir -p $nocloud /etc/ssh
    rm -f /etc/ssh/ssh_host_*
    cat >$nocloud/user-data <<'S'
#cloud-config
hostname: n1
users:
- name: admin
  ssh_authorized_keys:
  - ssh-ed25519 AAAA me
ssh_keys:
  ed25519_private: |
    -----BEGIN OPENSSH PRIVATE KEY-----
    c2VjcmV0IGhvc3Qga2V5
    -----END OPENSSH PRIVATE KEY-----
  ed25519_public: ssh-ed25519 BBBB n1
write_files:
- path: /etc/nodeimg/node.env
  permissions: "0644"
  content: |
    NODEIMG_CLUSTER='demo'
- path: /etc/nodeimg/kubeadm.yaml
  permissions: "0600"
  content: |
    token: abcdef.0123456789abcdef
S
    printf 'instance-id: nodeimg-0123\nlocal-hostname: n1\n' >$nocloud/meta-data
    mkdir -p /etc/nodeimg /var/lib/cloud/instances/nodeimg-0123
    for it in /etc/nodeimg/kubeadm.yaml /etc/ssh/ssh_host_ed25519_key; do (umask 077 && echo secret >$it); done
    for it in user-data.txt user-data.txt.i cloud-config.txt obj.pkl boothooks; do echo secret >/var/lib/cloud/instances/nodeimg-0123/$it; done
    mkdir -p /var/lib/cloud/data /var/lib/nodeimg
    echo nodeimg-0123 >/var/lib/cloud/data/instance-id
    size=$(stat -c %s $nocloud/user-data)
    cp -r $nocloud /t/before
}

no_secret_in_the_seed() {
    ! grep -rE 'PRIVATE KEY|c2VjcmV0|0123456789abcdef' $nocloud || fail 'a secret is in the seed'
    gone /var/lib/cloud/instances/nodeimg-0123/{user-data.txt,user-data.txt.i,cloud-config.txt,obj.pkl}
}

case_the_seed_loses_its_secrets_and_nothing_else() { # on a worker
    seeded
    /usr/lib/nodeimg/clear-seed >/t/out
    has /t/out "the seed's secrets are on this machine alone now"
    no_secret_in_the_seed
    cmp $nocloud/meta-data /t/before/meta-data || fail 'meta-data changed'
    # The same length: no block is let go with a secret in it.
    equal "$(stat -c %s $nocloud/user-data)" "$size"
    python3 - <<'P' || fail 'the seed lost more than its secrets'
import yaml
was, now = (yaml.safe_load(open(f"{it}/user-data")) for it in ("/t/before", "/var/lib/cloud/seed/nocloud"))
del was["ssh_keys"], was["write_files"][1]
was["ssh_deletekeys"] = False
assert was == now, (was, now)
P
    [ -e /var/lib/cloud/instances/nodeimg-0123/boothooks ] || fail 'too much was removed'
    : >/t/out
    /usr/lib/nodeimg/clear-seed >/t/out
    equal "$(cat /t/out)" ''
}

case_a_secret_that_is_nowhere_else_stays_in_the_seed() { # on a worker
    seeded
    rm /etc/nodeimg/kubeadm.yaml
    ! /usr/lib/nodeimg/clear-seed >/t/out || fail 'said it went well'
    has /t/out '/etc/nodeimg/kubeadm.yaml is not on this machine'
    cmp $nocloud/user-data /t/before/user-data || fail 'the seed was changed'
    echo secret >/etc/nodeimg/kubeadm.yaml
    ! /usr/lib/nodeimg/clear-seed >/t/out || fail 'said it went well'
    has /t/out '/etc/nodeimg/kubeadm.yaml is not on this machine, or not for root alone'
    # A worker that has joined keeps no token.
    rm /etc/nodeimg/kubeadm.yaml
    gone /var/lib/nodeimg/seed
    touch /var/lib/nodeimg/joined
    /usr/lib/nodeimg/clear-seed >/t/out
    no_secret_in_the_seed
}

case_a_seed_that_is_not_ours_is_left_alone() { # on a worker
    mkdir -p $nocloud /var/lib/cloud/data /var/lib/nodeimg
    echo iid-datasource-none >/var/lib/cloud/data/instance-id
    for text in '#!/bin/sh' $'#cloud-config\nhostname: n1' '' $'#cloud-config\n- list'; do
        printf '%s' "$text" >$nocloud/user-data
        /usr/lib/nodeimg/clear-seed >/t/out
        equal "$(cat $nocloud/user-data)" "$text"
        equal "$(cat /var/lib/nodeimg/seed)" iid-datasource-none
    done
}

case_a_new_seed_is_cleared_too() { # on a worker
    seeded
    /usr/lib/nodeimg/clear-seed >/t/out
    cp /t/before/user-data $nocloud/user-data
    /usr/lib/nodeimg/clear-seed >/t/out
    no_secret_in_the_seed
}

# cloud-init takes for done what it began: not before clear-seed has noted that it is on the disk.
case_a_first_start_that_was_cut_short_is_made_again() { # on a worker
    seeded
    ln -s instances/nodeimg-0123 /var/lib/cloud/instance
    mkdir -p /var/lib/cloud/sem
    /usr/lib/nodeimg/begin-anew >/t/out
    has /t/out 'it is made again'
    gone /var/lib/cloud/{instance,instances,sem,data}
    [ -e $nocloud/user-data ] || fail 'the seed is gone'
}

case_a_first_start_that_was_whole_is_not_made_again() { # on a worker
    seeded
    /usr/lib/nodeimg/clear-seed >/t/out
    /usr/lib/nodeimg/begin-anew >/t/out
    equal "$(cat /t/out)" ''
    [ -e /var/lib/cloud/instances ] || fail 'made again'
    # Of another seed the first start was not whole.
    echo nodeimg-4567 >/var/lib/cloud/data/instance-id
    /usr/lib/nodeimg/begin-anew >/t/out
    gone /var/lib/cloud/instances
}

case_a_file_without_its_content_is_not_stored() { # on a worker
    seeded
    : >/etc/nodeimg/kubeadm.yaml
    ! /usr/lib/nodeimg/clear-seed >/t/out || fail 'said it went well'
    cmp $nocloud/user-data /t/before/user-data || fail 'the seed was changed'
    gone /var/lib/nodeimg/seed
}
