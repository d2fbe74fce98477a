#!/usr/bin/env bash
# Trains on several devices: `vqaudio COMMAND` once for each, under torchrun (docs/distributed.md).
#
#   bash recipes/common/torchrun.sh DEVICES COMMAND [OPTIONS...]
#
# DEVICES of this machine; or, called on each of NUM_NODES machines by a launcher (docs/clusters.md) that says which of
# them this is (NODE_RANK), and where the first one listens (MASTER_ADDR, MASTER_PORT). DEVICES 0 stands for one process
# on the processor of each machine.
set -euo pipefail

devices=$(($1 > 0 ? $1 : 1))
if [ "${NUM_NODES:-1}" -gt 1 ]; then
    place=(--nnodes "$NUM_NODES" --node_rank "$NODE_RANK" --master_addr "$MASTER_ADDR" --master_port "$MASTER_PORT")
else
    place=(--standalone)
fi
exec "${python:-python3}" -m vqaudio.training.launch "${place[@]}" --nproc_per_node "$devices" --max_restarts 3 \
    -m vqaudio "${@:2}"
