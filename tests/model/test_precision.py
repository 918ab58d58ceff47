"""The dtype of products."""

import torch

from lai.model.precision import converted, product_dtype


def test_products_have_autocasts_dtype_where_it_is_on() -> None:
    x = torch.zeros(2)
    assert product_dtype(x) == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert product_dtype(x) == torch.bfloat16
    assert product_dtype(x.half()) == torch.float16


def test_a_conversion_that_changes_nothing_gives_the_tensor_itself() -> None:
    x = torch.tensor([1.0, 2.5])
    assert converted(x, torch.float32) is x
    assert converted(x, torch.bfloat16).dtype == torch.bfloat16
