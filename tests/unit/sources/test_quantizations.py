"""Names of GGUF files as they exist, and the quantization that each of them says."""

import pytest

from engine.gguf_header import FILE_TYPES
from engine.model_path import QUANTIZATION, quantization_of
from engine.model_registry import ModelRegistry
from engine.sources.gguf import models_in
from engine.sources.listing import Entry

NAMES = [
    ("Qwen2.5-7B-Instruct-Q4_K_M.gguf", "Q4_K_M"),
    ("Meta-Llama-3.1-8B-Instruct-Q4_K_L.gguf", "Q4_K_L"),
    ("Qwen2.5-7B-Instruct-Q3_K_XL.gguf", "Q3_K_XL"),
    ("Qwen2.5-7B-Instruct-IQ3_M.gguf", "IQ3_M"),
    ("Qwen2.5-7B-Instruct-Q4_0_4_4.gguf", "Q4_0_4_4"),
    ("Qwen2.5-7B-Instruct-Q4_0_8_8.gguf", "Q4_0_8_8"),
    ("Qwen2.5-7B-Instruct-f16.gguf", "F16"),
    ("qwen2.5-7b-instruct-fp16-00001-of-00004.gguf", "FP16"),
    ("qwen2.5-7b-instruct-q4_k_m-00001-of-00002.gguf", "Q4_K_M"),
    ("Qwen3-8B-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
    ("Qwen3-8B-UD-IQ1_S.gguf", "UD-IQ1_S"),
    ("DeepSeek-R1-0528-UD-TQ1_0.gguf", "UD-TQ1_0"),
    ("Qwen3-8B-BF16.gguf", "BF16"),
    ("Mistral-Small.i1-IQ3_XXS.gguf", "I1-IQ3_XXS"),
    ("Mistral-Small.i1-Q4_K_M.gguf", "I1-Q4_K_M"),
    ("Mistral-Small.Q8_0.gguf", "Q8_0"),
    ("mistral-7b-instruct-v0.2.Q5_K_S.gguf", "Q5_K_S"),
    ("llama-2-7b.ggmlv3.q4_1.gguf", "Q4_1"),
    ("gpt-oss-20b-mxfp4.gguf", "MXFP4"),
    ("gpt-oss-20b-MXFP4_MOE.gguf", "MXFP4_MOE"),
    ("Nemotron-3-NVFP4.gguf", "NVFP4"),
    ("DeepSeek-V3-0324-IQ4_K_R4-00001-of-00010.gguf", "IQ4_K_R4"),
    ("Kimi-K2-smol-IQ4_KSS-00001-of-00011.gguf", "IQ4_KSS"),
    ("Kimi-K2-IQ2_KL.gguf", "IQ2_KL"),
    ("GLM-4.6-IQ3_KT.gguf", "IQ3_KT"),
    ("ggml-model-i2_s.gguf", "I2_S"),
    ("Phi-3-mini-4k-instruct-q4.gguf", "Q4"),
    ("jarvis-7b-q4.gguf", "Q4"),
    ("gemma-2-9b-it-Q4_K_M-fp32.gguf", "FP32"),
    ("gemma-3-4b-it-q4_0_s.gguf", "Q4_0_S"),
    ("gemma-3-4b-it-Q8_0_pt.gguf", "Q8_0"),
    ("M-Q4_K_M_v2.gguf", "Q4_K_M"),
    ("M_Q6_K.gguf", "Q6_K"),
    ("M-Q4_K_M-imat.gguf", "Q4_K_M"),
    ("mmproj-model-f16.gguf", "F16"),
    ("mmproj-BF16.gguf", "BF16"),
    ("Qwen2-VL-7B.mmproj-Q8_0.gguf", "Q8_0"),
    ("codellama-34b.gguf", None),
    ("Qwen2.gguf", None),
    ("AVQ2.gguf", None),
    ("eq4x.gguf", None),
    ("model.gguf", None),
]


@pytest.mark.parametrize(("name", "quantization"), NAMES)
def test_quantization_of_a_real_name(name, quantization):
    """A whole word, the last one, whatever stands around it; and what it is can be asked for by a tag."""
    assert quantization_of(name) == quantization
    if quantization is not None:
        assert QUANTIZATION.fullmatch(quantization)
        assert ModelRegistry.parse(f"ns/repo:{quantization.lower()}").quantization == quantization


@pytest.mark.parametrize("quantization", sorted({*FILE_TYPES.values()}))
def test_every_type_of_llama_cpp(quantization):
    """Each file type of llama.cpp is known in a name, in either case, and as a tag."""
    for written in (quantization, quantization.lower()):
        assert quantization_of(f"M-8B-{written}.gguf") == quantization
        assert quantization_of(f"M.{written}-00001-of-00002.gguf") == quantization
        assert ModelRegistry.parse(f"ns/repo:{written}").quantization == quantization


FOLDERS = [
    ("Q4_K_M/model.gguf", "Q4_K_M"),
    ("UD-Q2_K_XL/M-UD-Q2_K_XL-00001-of-00003.gguf", "UD-Q2_K_XL"),
    ("M-Q8_0/M-00001-of-00003.gguf", "Q8_0"),
    ("BF16/part/M-00001-of-00003.gguf", "BF16"),
    ("F16/M-Q4_0.gguf", "Q4_0"),
    ("Q4_K_M-old/model.gguf", None),
    ("old/model.gguf", None),
]


@pytest.mark.parametrize(("path", "quantization"), FOLDERS)
def test_quantization_of_a_folder(path, quantization):
    """The file's own name counts first; a folder counts that is called after a quantization."""
    (model,) = models_in([Entry(path, 1)])
    assert model.quantization == quantization
