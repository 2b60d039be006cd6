# shellcheck shell=bash
# An image with a table of nodes: each board takes its own seed, and nothing of the others stays on its card.

# card SERIAL MAC: a flashed card in a board that has these.
card() {
    rm -rf /boot/firmware /sys/firmware /sys/class
    mkdir -p /boot/firmware/nodes/{pi01,pi02,pi03} /sys/firmware/devicetree/base /sys/class/net/{lo,eth0}
    printf '%s\0' "$1" >/sys/firmware/devicetree/base/serial-number
    echo 00:00:00:00:00:00 >/sys/class/net/lo/address
    echo "$2" >/sys/class/net/eth0/address
    for node in pi01 pi02 pi03; do
        for file in user-data meta-data network-config; do echo "$file of $node, TOKEN-$node" >/boot/firmware/nodes/$node/$file; done
    done
    for file in user-data meta-data network-config; do echo "$file of nobody" >/boot/firmware/$file; done
    printf '%s\n' '# a table' 'serial 100000003d1d5d2b pi01' 'mac dc:a6:32:00:00:02 pi02' 'mac dc:a6:32:00:00:03 pi03' >/boot/firmware/nodes/table
}
choose() {
    timeout 60 /usr/lib/nodeimg/choose-node >>/t/out 2>&1
}
# is NODE: the card is this node's, and nobody else's.
is() {
    for file in user-data meta-data network-config; do equal "$(cat /boot/firmware/$file)" "$file of $1, TOKEN-$1"; done
    gone /boot/firmware/nodes
    equal "$(cd /boot/firmware && echo *)" 'meta-data network-config user-data'
}

case_a_board_takes_its_own_seed_by_serial_number() { # on a pi
    card 100000003D1D5D2B dc:a6:32:00:00:09
    choose
    is pi01
    has /dev/console 'this machine is pi01'
}

case_a_board_takes_its_own_seed_by_mac_address() { # on a pi
    card 10000000ffffffff dc:a6:32:00:00:03
    choose
    is pi03
}

case_a_board_that_is_not_in_the_table_says_so_and_takes_nothing() { # on a pi
    card 10000000ffffffff dc:a6:32:00:00:09
    choose
    equal "$(cat /boot/firmware/user-data)" 'user-data of nobody'
    has /dev/console "no entry of this image's table is this machine's: serial number 10000000ffffffff, MAC addresses dc:a6:32:00:00:09"
    has /boot/firmware/nodes/pi02/user-data TOKEN-pi02
}

case_what_is_wiped_was_written_over() { # on a pi
    card 100000003d1d5d2b dc:a6:32:00:00:09
    ln /boot/firmware/nodes/pi02/user-data /t/kept
    choose
    [ -s /t/kept ] || fail 'it was cut instead of written over'
    equal "$(tr -d '\000' </t/kept | wc -c)" 0
}

# The power is cut at every moment that something has just been brought to the card, or is about to.
case_the_choice_survives_cuts_of_power() { # on a pi
    mkdir /t/cut
    for program in sync rm dd; do
        # shellcheck disable=SC2016 # expanded by the stub
        printf '%s\n' '#!/bin/sh' 'left=$(cat /t/left)' '[ "$left" -gt 0 ] || { kill -KILL "$PPID"; exit 1; }' 'echo $((left - 1)) >/t/left' \
            "exec /usr/bin/$program \"\$@\"" >/t/cut/$program
        chmod +x /t/cut/$program
    done
    local moments=0 finished=no
    while [ $finished = no ]; do
        [ $moments -lt 100 ] || fail 'it never ends'
        card 100000003d1d5d2b dc:a6:32:00:00:09
        echo $moments >/t/left
        if PATH=/t/cut:$PATH timeout 60 /usr/lib/nodeimg/choose-node >>/t/out 2>&1; then finished=yes; fi
        # systemd's condition: nothing to do where the folder is gone.
        [ ! -d /boot/firmware/nodes ] || choose
        is pi01
        moments=$((moments + 1))
    done
    [ $moments -gt 20 ] || fail "only $moments moments were cut"
}
