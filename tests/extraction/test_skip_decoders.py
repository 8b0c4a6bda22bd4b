"""Decoders that LLaVA may wrap: each equals the stock model with keys hidden and states passed on, or is refused."""

import contextlib

import pytest
import torch
import transformers as hf

from extraction.skip import apply, fastv, late_entry, skip_attention, skip_layers, skip_mlp, vision_exit
from redundancy.errors import UnsupportedModelError

N, IMAGE = 4, 99
SIZES = {"hidden_size": 32, "num_hidden_layers": N, "num_attention_heads": 4, "vocab_size": 100, "pad_token_id": 0}
TEXT = {
    "opt": lambda: hf.OPTConfig(**SIZES, ffn_dim=64, max_position_embeddings=128, word_embed_proj_dim=32),
    "phi": lambda: hf.PhiConfig(**SIZES, intermediate_size=64),
    "gpt_oss": lambda: hf.GptOssConfig(
        **SIZES,
        intermediate_size=32,
        num_key_value_heads=2,
        head_dim=8,
        num_local_experts=4,
        num_experts_per_tok=2,
        sliding_window=8,
    ),
    "falcon": lambda: hf.FalconConfig(**SIZES, alibi=False),
    "bloom": lambda: hf.BloomConfig(hidden_size=32, n_layer=N, n_head=4, vocab_size=100, pad_token_id=0),
    "mpt": lambda: hf.MptConfig(d_model=32, n_layers=N, n_heads=4, vocab_size=100, max_seq_len=128),
    "gpt2": lambda: hf.GPT2Config(n_embd=32, n_layer=N, n_head=4, vocab_size=100, pad_token_id=0),
}


def llava(name):
    torch.manual_seed(0)
    text = TEXT[name]()
    text.tie_word_embeddings = False  # not all of these decoders name what is tied as LLaVA expects
    vision = hf.CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=42, patch_size=14
    )
    config = hf.LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=IMAGE,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=False,
    )
    model = hf.LlavaForConditionalGeneration(config).eval()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.15)
    return model


def inputs():
    random = torch.Generator().manual_seed(3)
    words = torch.randint(3, 90, (2, 9), generator=random)
    ids = torch.cat([words[:, :3], torch.full((2, 9), IMAGE), words[:, 3:]], dim=1)
    mask = torch.ones_like(ids)
    ids[0, :2] = mask[0, :2] = 0
    return {"input_ids": ids, "attention_mask": mask, "pixel_values": torch.randn(2, 3, 42, 42, generator=random)}


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.no_grad():
        yield
    torch.set_num_threads(before)


@contextlib.contextmanager
def masked(layers, absent):
    """Stock layers at full length: absent tokens are hidden as keys and keep their states."""
    handles = []

    def hide(i):
        def hook(module, args, kwargs):
            mask, gone = kwargs["attention_mask"], absent(i)[:, None, None, :]
            gone = gone & ~torch.eye(gone.shape[-1], dtype=torch.bool)
            hidden = mask & ~gone if mask.dtype == torch.bool else mask.masked_fill(gone, torch.finfo(mask.dtype).min)
            return args, {**kwargs, "attention_mask": hidden}

        return hook

    def keep(i):
        def hook(module, args, kwargs, output):
            states = args[0] if args else kwargs["hidden_states"]
            here = absent(i)[..., None]
            if isinstance(output, tuple):
                return (torch.where(here, states, output[0]), *output[1:])
            return torch.where(here, states, output)

        return hook

    for i, layer in enumerate(layers):
        handles.append(layer.register_forward_pre_hook(hide(i), with_kwargs=True))
        handles.append(layer.register_forward_hook(keep(i), with_kwargs=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize("name", ["opt", "phi", "gpt_oss"])
def test_each_equals_the_masked_stock_model(name):
    model, batch = llava(name), inputs()
    decoder = model.get_decoder()
    layers = getattr(decoder, "layers", None) or decoder.decoder.layers
    vision, valid = batch["input_ids"] == IMAGE, batch["attention_mask"].bool()
    plain = model(**batch, use_cache=False).logits[valid]
    for plan, seen in (
        (late_entry(2), range(2, N)),
        (vision_exit(2), range(2)),
        (vision_exit(0), range(0)),
        (late_entry(1) + vision_exit(3), range(1, 3)),
    ):
        nobody = torch.zeros_like(vision)
        with masked(layers, lambda i, seen=seen, nobody=nobody: nobody if i in seen else vision):
            expected = model(**batch, use_cache=False).logits[valid]
        with apply(model, plan):
            assert torch.allclose(model(**batch).logits[valid], expected, rtol=0, atol=2e-5), str(plan)
        assert not torch.allclose(plain, expected, rtol=0, atol=1e-2)


@pytest.mark.parametrize("name", ["opt", "phi", "gpt_oss"])
def test_each_generates_with_a_cache_as_without(name):
    model, batch = llava(name), inputs()
    options = {"max_new_tokens": 5, "do_sample": False, "suppress_tokens": [0, 1, 2, IMAGE]}
    for plan in (late_entry(2), vision_exit(1), fastv(2, 0.5), skip_layers(1), skip_attention(2)):
        with apply(model, plan):
            cached, whole = (model.generate(**batch, **options, use_cache=use) for use in (True, False))
        assert torch.equal(cached, whole), str(plan)


@pytest.mark.parametrize("name", ["phi", "gpt_oss"])
def test_without_both_sublayers_a_layer_is_left_out(name):
    """Also where an MLP returns more than its states, as the routers of gpt_oss do."""
    model, batch = llava(name), inputs()
    with apply(model, skip_layers(1)):
        expected = model(**batch).logits
    with apply(model, skip_attention(1) + skip_mlp(1)):
        assert torch.allclose(model(**batch).logits, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("falcon", "layers of falcon take `alibi`, made for the full sequence"),
        ("bloom", "layers of bloom take `alibi`"),
        ("mpt", "layers of mpt take `position_bias`"),
        ("gpt2", "needs softmax attention in every layer"),
    ],
)
def test_others_are_refused_in_a_sentence_and_stay_as_they_are(name, words):
    model, batch = llava(name), inputs()
    plain = model(**batch).logits
    with pytest.raises(UnsupportedModelError, match=words), apply(model, vision_exit(2)):
        pass
    assert torch.equal(model(**batch).logits, plain)


def test_a_sublayer_that_is_part_of_its_layer_cannot_be_left_out_alone():
    words = "needs an `mlp` module in layer 1, OPTDecoderLayer has none"
    with pytest.raises(UnsupportedModelError, match=words), apply(llava("opt"), skip_mlp(1)):
        pass
