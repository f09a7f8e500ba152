#!/bin/bash
# Measures every exit rule of the demo model anew: docs/results.md with its plots, and README's short table of it.
# Arguments go to `mue eval`; MUE names another binary. Other models come in by --row, and are left out without it. The
# ablations and options of docs/other-models.md take some 15 to 25 minutes each to train, and are then rows under these names:
#
#   for recipe in ablation-mue ablation-joint ablation-last-layer option-random-depth option-distillation option-saturation; do
#     mue train --config config/train/$recipe.toml --out target/runs/$recipe
#   done
#   tools/results.sh --row "MuE alone=target/runs/ablation-mue/model" \
#     --row "without decomposition=target/runs/ablation-joint/model" \
#     --row "without the layer-wise loss=target/runs/ablation-last-layer/model" \
#     --row "with random depths=target/runs/option-random-depth/model" \
#     --row "with distillation=target/runs/option-distillation/model" \
#     --row "with saturation=target/runs/option-saturation/model"
set -euo pipefail
cd "$(dirname "$0")/.."

"${MUE:-target/release/mue}" eval --task caption --task entailment \
  --data scenes:seed=2,count=1000 --timed 150 \
  --frontier --tune scenes:seed=1,count=1600,split=dev \
  --out target/results "$@" > target/results.md
mkdir -p docs/results
cp target/results/{captions,entailment}-{macs,time,layers}.svg docs/results
awk '
  { print }
  /^## (Captions|Entailment)$/ {
    task = tolower($2)
    print "\n| by MACs | by time | by layers, as the paper counts |\n|---|---|---|"
    count = split("macs time layers", names, " ")
    for (place = 1; place <= count; place++) {
      saved = names[place]
      printf "| ![%s: quality by %s saved](results/%s-%s.svg) ", $2, saved, task, saved
    }
    print "|"
  }
' target/results.md > docs/results.md

# The table of the section "In short" takes the place of what is between the marks in README.
awk '/^## In short/ { inside = 1; next } /^## / { inside = 0 } inside && /^\|/' docs/results.md > target/table.md
awk '
  /<!-- end of results -->/ { skip = 0 }
  !skip { print }
  /<!-- results: tools\/results.sh writes this -->/ {
    skip = 1
    print ""
    while ((getline line < "target/table.md") > 0) print line
    print ""
    print "[docs/results.md](docs/results.md) has every exit rule, the machine, the day and the command."
    print ""
  }
' README.md > target/README.md
mv target/README.md README.md
