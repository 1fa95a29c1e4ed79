#!/usr/bin/env bash
# Stop what up.sh started, by its pid files, and remove its links: with a conf but no controller, snakemake would wait.
set -uo pipefail
LAB=${LAB:-$PWD/.slurm-lab}
pids=()
for file in "$LAB"/slurmd.*.pid "$LAB"/slurmctld.pid; do
    if [ -f "$file" ]; then pids+=("$(cat "$file")"); fi
done
if [ -f "$LAB/started-munged" ] && [ -f /run/munge/munged.pid ]; then pids+=("$(cat /run/munge/munged.pid)"); fi
for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null; done
for file in slurm.conf gres.conf; do
    if [ "$(readlink "/etc/slurm/$file")" = "$LAB/$file" ]; then rm "/etc/slurm/$file"; fi
done
for pid in "${pids[@]}"; do
    for _ in $(seq 40); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.25
    done
done
rm -rf "$LAB"
