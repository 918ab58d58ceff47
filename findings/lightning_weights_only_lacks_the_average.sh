#!/usr/bin/env bash
# Lightning's ModelCheckpoint with save_weights_only=True stores other weights than those whose metric it has chosen.
# lightning 2.6.6, torch 2.13.0, Python 3.11.
# Input: one weight, four steps of SGD, EMAWeightAveraging(decay=0.9), a validation at the end, which uses the average.
# Seen, the weight that is validated and the one in the checkpoint:
#   save_weights_only=False  validated 0.2725, stored 0.2725
#   save_weights_only=True   validated 0.2725, stored 0.5873: the last step's, no average; no message
# The averaging callback puts the average into checkpoints by on_save_checkpoint, which is not called then.
# The script fails where either answer changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 lightning==2.6.6
cd "$folder"
"$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import lightning
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from torch.utils.data import DataLoader


class OneWeight(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(1, 1, bias=False)

    def loss(self, batch):
        return (self.layer(batch) - batch).square().mean()

    def training_step(self, batch, _):
        return self.loss(batch)

    def validation_step(self, batch, _):
        self.validated = self.layer.weight.item()
        self.log("val/loss", self.loss(batch))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def stored(weights_only):
    module, data = OneWeight(), torch.ones(4, 1)
    checkpoint = ModelCheckpoint(f"run-{weights_only}", monitor="val/loss", save_weights_only=weights_only)
    trainer = lightning.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=0, callbacks=[EMAWeightAveraging(decay=0.9), checkpoint],
    )
    trainer.fit(module, DataLoader(data, 1), DataLoader(data, 4))
    state = torch.load(checkpoint.best_model_path, weights_only=True)["state_dict"]
    return round(module.validated, 4), round(state["layer.weight"].item(), 4)


whole, weights_only = stored(False), stored(True)
print("save_weights_only=False", *whole)
print("save_weights_only=True ", *weights_only)
assert whole == (0.2725, 0.2725)
assert weights_only == (0.2725, 0.5873)
PYTHON
