#!/bin/bash
#SBATCH --job-name=depickle-@RUN@
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=@LOG@/%A_%a.log
#SBATCH --time=@MINUTES@
#SBATCH --mem=@MEMORY@M
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=@CPUS@
# One shard of the run; SLURM_ARRAY_TASK_ID says which. A node that is lost has it queued again, and what is done is passed over.
@COMMAND@
code=$?
# 75: worth another try; two of them, then `depickle fleet resume`.
if [ "$code" = 75 ] && [ "${SLURM_RESTART_COUNT:-0}" -lt 2 ]; then
  scontrol requeue "$SLURM_JOB_ID" && sleep 60
fi
exit "$code"
