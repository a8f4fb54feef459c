"""
What the README shows runs as it stands.
"""

from __future__ import annotations

import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from store import NewProduct, Settings, Store

README = Path(__file__).resolve().parents[1] / "README.md"


@pytest.mark.one_version
def test_the_readme_s_python_runs_as_it_stands(dsn, tmp_path):
    """
    The first Python block of the README is a program; what it needs is what quickstart leaves behind: a `.env` and a product.
    """
    block = re.search(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    (tmp_path / ".env").write_text(f"DATABASE_URL={dsn}\n", encoding="utf-8")
    with Store.open(Settings.load(database_url=dsn)) as shop:
        tea = shop.catalog.create(NewProduct(sku="DEMO-00001", name="Tea", price=Decimal("2.50"), on_hand=1))
        done = subprocess.run([sys.executable, "-c", block[1]], cwd=tmp_path, capture_output=True, text=True, check=False)

        assert ("5.00 ['Tea']\n", "") == (done.stdout, done.stderr)
        assert shop.inventory.get(tea.id).on_hand == 11
