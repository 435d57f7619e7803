"""K28: tokenizer and template survive save and load in a clean process with plain transformers."""

import json
import subprocess
import sys

from tests.render.conversations import GOLDEN
from tunewright import models
from tunewright.export import write_merged
from tunewright.render.turns import as_dicts

CLEAN = """
import json, sys
from transformers import AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
rows = json.load(sys.stdin)
ids = [tokenizer.apply_chat_template(r, add_generation_prompt=True, return_dict=True)["input_ids"] for r in rows]
print(json.dumps(ids))
"""


def test_a_clean_process_writes_the_same_prompts(tmp_path, seedling_renderer):
    base = models.load("seedling")
    write_merged(base.model, tmp_path / "m", {}, base.tokenizer, seedling_renderer.stop_ids)
    prompts = [as_dicts(row.prompt) for row in GOLDEN.values()]
    arguments = [sys.executable, "-c", CLEAN, str(tmp_path / "m")]
    ran = subprocess.run(arguments, input=json.dumps(prompts), capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout.splitlines()[-1]) == [seedling_renderer.prompt(r.prompt) for r in GOLDEN.values()]
