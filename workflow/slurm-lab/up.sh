#!/usr/bin/env bash
# A real Slurm on this host, for tests: munged, slurmctld and two slurmd with fake GPUs. No systemd, no slurmdbd, no cgroups.
# Its state lies in .slurm-lab (or $LAB). Jobs of the partition `urgent` push those of `gpu` back into the queue.
# Needs root and the Debian packages slurmctld, slurmd, slurm-client and munge.
set -euo pipefail
LAB=${LAB:-$PWD/.slurm-lab}
NODES=2 CPUS=4 MEMORY=64000 GPUS=2
HOST=$(hostname -s)

if [ ${#LAB} -gt 78 ]; then
    echo "error: $LAB is a path too long for Slurm's sockets; type: export LAB=/tmp/slurm-lab" >&2
    exit 1
fi
for command in munged slurmctld slurmd sinfo; do
    if ! command -v "$command" >/dev/null; then
        echo "error: $command is missing; type: apt-get install --no-install-recommends slurmctld slurmd slurm-client munge" >&2
        exit 3
    fi
done
if [ "$(id -u)" != 0 ]; then
    echo "error: the lab runs as root only" >&2
    exit 3
fi
for file in slurm.conf gres.conf; do
    if [ -e "/etc/slurm/$file" ] && [ ! -L "/etc/slurm/$file" ]; then
        echo "error: /etc/slurm/$file exists: this host has a Slurm of its own" >&2
        exit 1
    fi
done

RUNNING=$(pgrep -x slurmctld || true)
if [ -n "$RUNNING" ] && [ "$(readlink /etc/slurm/slurm.conf)" != "$LAB/slurm.conf" ]; then
    echo "error: another lab runs here, $(dirname "$(readlink /etc/slurm/slurm.conf)"); there type: workflow/slurm-lab/down.sh" >&2
    exit 1
fi
rm -rf "$LAB"
mkdir -p "$LAB"/{state,spool,log}
install -d -o munge -g munge -m 755 /run/munge
if [ ! -f /etc/munge/munge.key ]; then
    mungekey -c
    chown munge:munge /etc/munge/munge.key
fi
if ! munge -n >/dev/null 2>&1; then
    su -s /bin/sh munge -c "$(command -v munged)"
    touch "$LAB/started-munged"
fi

cat >"$LAB/slurm.conf" <<CONF
ClusterName=lab
SlurmctldHost=$HOST(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
StateSaveLocation=$LAB/state
SlurmdSpoolDir=$LAB/spool/%n
SlurmctldPidFile=$LAB/slurmctld.pid
SlurmdPidFile=$LAB/slurmd.%n.pid
SlurmctldLogFile=$LAB/log/slurmctld.log
SlurmdLogFile=$LAB/log/slurmd.%n.log
SlurmctldPort=16817
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
SlurmdParameters=config_overrides
ReturnToService=2
MpiDefault=none
SwitchType=switch/none
SchedulerParameters=sched_interval=2,bf_interval=2
MinJobAge=300
DefMemPerCPU=500
KillWait=5
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=gpu Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=2 PreemptMode=OFF
CONF
for node in $(seq "$NODES"); do
    echo "NodeName=n$node NodeHostname=$HOST NodeAddr=127.0.0.1 Port=$((17000 + node)) CPUs=$CPUS RealMemory=$MEMORY Gres=gpu:$GPUS"
done >>"$LAB/slurm.conf"
for gpu in $(seq 0 $((GPUS - 1))); do
    mknod "$LAB/nvidia$gpu" c 1 3 # as /dev/null, but each a device of its own
    echo "Name=gpu File=$LAB/nvidia$gpu"
done >"$LAB/gres.conf"

# A job's own srun does not see SLURM_CONF, so the default place must lead here too.
mkdir -p /etc/slurm
ln -sfn "$LAB/slurm.conf" "$LAB/gres.conf" /etc/slurm/
slurmctld
for node in $(seq "$NODES"); do slurmd -N "n$node"; done
for _ in $(seq 120); do
    if [ "$(sinfo -h -t idle -o %D 2>/dev/null | awk '{s += $1} END {print s + 0}')" = "$NODES" ]; then
        sinfo -N -o "%N %T %c %m %G"
        exit 0
    fi
    sleep 0.25
done
echo "error: the nodes did not come up in 30 s; see $LAB/log" >&2
"$(dirname "$0")/down.sh"
exit 1
