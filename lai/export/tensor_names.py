"""The names of LAi's tensors in GGUF files and in `LlamaForCausalLM`; each of them ends in `.weight`."""

_OF_THE_MODEL = {  # ours: GGUF's, Hugging Face's
    "token_embed": ("token_embd", "model.embed_tokens"),
    "final_norm": ("output_norm", "model.norm"),
    "output": ("output", "lm_head"),
}
_OF_A_LAYER = {
    "attn.wq": ("attn_q", "self_attn.q_proj"),
    "attn.wk": ("attn_k", "self_attn.k_proj"),
    "attn.wv": ("attn_v", "self_attn.v_proj"),
    "attn.wo": ("attn_output", "self_attn.o_proj"),
    "ffn.w_gate": ("ffn_gate", "mlp.gate_proj"),
    "ffn.w_up": ("ffn_up", "mlp.up_proj"),
    "ffn.w_down": ("ffn_down", "mlp.down_proj"),
    "attn_norm": ("attn_norm", "input_layernorm"),
    "ffn_norm": ("ffn_norm", "post_attention_layernorm"),
}


def gguf_name(ours: str) -> str:
    """The name of a weight in a GGUF file of the architecture `llama`: `blk.0.attn_q.weight`."""
    return _renamed(ours, 0, "blk")


def huggingface_name(ours: str) -> str:
    """The name of a weight in `LlamaForCausalLM`: `model.layers.0.self_attn.q_proj.weight`."""
    return _renamed(ours, 1, "model.layers")


def _renamed(ours: str, column: int, layers: str) -> str:
    name = ours.removesuffix(".weight")
    if name in _OF_THE_MODEL:
        return f"{_OF_THE_MODEL[name][column]}.weight"
    _, layer, in_layer = name.split(".", 2)
    return f"{layers}.{layer}.{_OF_A_LAYER[in_layer][column]}.weight"
