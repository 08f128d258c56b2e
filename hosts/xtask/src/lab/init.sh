#!/bin/sh
# The guest's first and only service: sets the machine up, then runs what the lab says.
# Arguments: the folder on the host for output, the guest's address, its address at a second network
# (10.78.0.x), addresses of further hosts, each of which is a network namespace of that name.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/run
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmp /run
mount -t tmpfs tmp /tmp
mkdir -p /run/out /run/modules/lib
mount -t hostfs none /run/out -o "$1"
ln -s /usr/lib/uml/modules /run/modules/lib/modules
# SCTP needs hmac to listen and ipv6 to load.
for module in hmac crc-ccitt ipv6 udp_tunnel ip6_udp_tunnel sctp veth sch_netem; do
    modprobe -d /run/modules "$module" || echo "cannot load $module"
done
shift
index=0
for address; do
    # The kernel appends words of its own.
    case "$address" in *=*) continue ;; esac
    within=
    case "$index:$address" in
    0:* | *:10.78.*) ;;
    *)
        ip netns add "$address"
        ip link set "vec$index" netns "$address"
        within="ip netns exec $address"
        ;;
    esac
    $within ip link set lo up
    # Userland peers cannot take packets larger than the link's.
    $within ip link set "vec$index" gso_max_segs 1 gso_max_size 1400
    $within ip address add "$address/24" dev "vec$index"
    $within ip link set "vec$index" up
    $within ip route add default dev "vec$index" 2>/dev/null
    index=$((index + 1))
done
exec 3<>/dev/ttyS0
stty raw -echo <&3
echo ready >&3
# A line: number, seconds (0: in the background), shell command.
while read -r number seconds command <&3; do
    if [ "$seconds" = 0 ]; then
        sh -c "exec $command" >"/run/out/$number.out" 2>&1 </dev/null 3>&- &
        echo "$number $!" >&3
    else
        timeout "$seconds" sh -c "$command" >"/run/out/$number.out" 2>&1 </dev/null 3>&-
        echo "$number $?" >&3
    fi
done
poweroff -f
