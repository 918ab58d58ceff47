"""What a setting is called here that other programs call otherwise, or that is misspelt."""

import difflib
from collections.abc import Iterable

_KEYS = {
    "trainer.max_epochs": "epochs epoch num_epochs n_epochs num_train_epochs max_epoch max_epochs",
    "trainer.max_steps": "steps step num_steps n_steps max_step iters max_iters num_iters iterations train_steps",
    "trainer.max_time": "time timeout",
    "trainer.devices": "gpus num_gpus n_gpus ngpus n_devices num_devices nproc nproc_per_node",
    "trainer.num_nodes": "nodes n_nodes nnodes",
    "trainer.accelerator": "accelerator",
    "trainer.precision": "precision mixed_precision",
    "trainer.strategy": "strategy",
    "trainer.accumulate_grad_batches": "grad_accum accumulate accumulation_steps gradient_accumulation_steps",
    "trainer.gradient_clip_val": "clip grad_clip gradient_clip max_grad_norm clip_grad_norm",
    "trainer.val_check_interval": "eval_every eval_interval eval_steps val_every val_interval",
    "trainer.log_every_n_steps": "log_every log_interval logging_steps log_steps",
    "optimizer.lr": "lr learning_rate learningrate max_lr",
    "optimizer.weight_decay": "wd",
    "schedule.warmup_fraction": "warmup warmup_ratio",
    "data.batch_size": "bs batch batchsize micro_batch_size train_batch_size per_device_train_batch_size",
    "data.seq_len": "block_size context context_length context_size seq_length sequence_length max_length seqlen",
    "data.vocab_size": "vocabulary_size n_vocab",
    "data.path": "dataset dataset_path data_path data_file data_dir train_data train_file train_path train input "
    "input_file corpus text file files",
    "data.sources": "mixture mix datasets data_mixture",
    "data.val_path": "val val_data val_file validation_file eval_data test_file",
    "model": "config model_name model_size model_type size preset arch architecture",
    "model.n_layers": "layers n_layer num_layers num_hidden_layers depth",
    "model.n_heads": "heads n_head num_heads num_attention_heads",
    "model.dim": "d_model n_embd embed_dim embedding_dim hidden_size width",
    "model.hidden_dim": "intermediate_size ffn_dim d_ff",
    "optimizer": "optim optimiser opt",
    "schedule": "scheduler lr_scheduler lr_schedule",
    "device": "accelerator_type",
    "ckpt_path": "resume resume_from resume_path resume_from_checkpoint checkpoint checkpoint_path ckpt load load_from "
    "restore continue_from",
    "export.path": "out output output_file output_path save save_path save_to model_path export_path o",
    "hydra.run.dir": "out_dir outdir run_dir logdir log_dir save_dir",
    "device.num_workers": "workers",
    "seed": "random_seed",
}
_HERE = {name: key for key, names in _KEYS.items() for name in names.split()}


def nearest(key: str, valid: Iterable[str]) -> list[str]:
    """Those of the `valid` keys that `key` may stand for, the likeliest first; none where none is near.

    Of two equally near ones the earlier of `valid` comes first.
    """
    valid = list(dict.fromkeys(valid))
    written = key.lower().replace("-", "_")
    group, _, last = written.rpartition(".")
    near = [written] if written in valid and written != key else []
    if (here := _HERE.get(last)) and (not group or here.split(".")[0] == group.split(".")[0]):
        near.append(here)
    near += [name for name in valid if name.rpartition(".")[2] == last and name != key]
    near += difflib.get_close_matches(written, valid, n=3, cutoff=0.75)
    of_group = [name for name in valid if name.rpartition(".")[0] == group] if group else valid
    by_last = {name.rpartition(".")[2]: name for name in reversed(of_group)}
    near += [by_last[name] for name in difflib.get_close_matches(last, by_last, n=3, cutoff=0.75)]
    return [name for name in dict.fromkeys(near) if name in valid or name.startswith("hydra.")]
