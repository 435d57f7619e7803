import pytest
import torch
from peft.optimizers import create_loraplus_optimizer

from tests.train.families import model_of, rows
from tunewright.train import Settings
from tunewright.train.adapters import prepare, trainable
from tunewright.train.optimizer import adamw, set_rate, trained
from tunewright.train.plain import fit_plainly, gradients

SETTINGS = Settings(
    rank=4, alpha=8.0, effective_batch_size=6, steps=4, learning_rate=2e-3, schedule="constant", warmup=0
)


@pytest.mark.parametrize("beta2", [0.999, 0.9])
def test_lora_plus_takes_the_steps_of_pefts(beta2: float) -> None:
    settings = SETTINGS.model_copy(update={"loraplus_lr_ratio": 4.0, "adam_beta2": beta2})
    ours = fit_plainly(model_of("llama"), rows(6), settings)
    plain = model_of("llama")
    torch.manual_seed(SETTINGS.seed)
    model = prepare(plain, SETTINGS).train()
    peft = create_loraplus_optimizer(model, torch.optim.AdamW, lr=2e-3, loraplus_lr_ratio=4.0, betas=(0.9, beta2))
    theirs = []
    for _ in range(4):
        theirs.append(gradients(model, rows(6)))
        torch.nn.utils.clip_grad_norm_(list(trainable(model).values()), 1.0)
        peft.step()
        peft.zero_grad()
    assert ours == pytest.approx(theirs, abs=1e-6)
    assert ours != pytest.approx(fit_plainly(model_of("llama"), rows(6), SETTINGS), abs=1e-3)


def test_everything_trained_is_moved_at_its_rate() -> None:
    named = trainable(prepare(model_of("llama"), SETTINGS))
    optimizer = adamw(named, SETTINGS.model_copy(update={"loraplus_lr_ratio": 8.0}))
    set_rate(optimizer, 1e-3)
    assert trained(optimizer).keys() == named.keys()
    assert all(trained(optimizer)[name] is parameter for name, parameter in named.items())
    rates = {name: group["lr"] for group in optimizer.param_groups for name in group["param_names"]}
    assert {rate for name, rate in rates.items() if "lora_B" in name} == {8e-3}
    assert {rate for name, rate in rates.items() if "lora_B" not in name} == {1e-3}
