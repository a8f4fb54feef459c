"""
A plan as a page for a browser: drawn by pev2, and as text where its scripts cannot be loaded. The plan stays in the file.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from pathlib import Path

from store.errors import SettingsError

HOST = "https://cdn.jsdelivr.net/npm/"
# Each by version and hash: a browser takes these bytes and no others. pev2 is a component of Vue, and leans on Bootstrap's CSS.
SCRIPTS = {
    "vue@3.5.28/dist/vue.runtime.global.prod.js": "sha384-B/cYUGo+dcf7gFbCNOa4QpEBtCsqh5uVzA5enfglTbY9LCm/kf1wtAANVJJULhfJ",
    "pev2@1.21.0/dist/pev2.umd.js": "sha384-nLBSv8SHy65iil8zeqrGcpcfPBH8e9Bpy0onSi95TrGL6HXWpHqbkWwMkSrZQN0X",
}
STYLES = {
    "bootstrap@5.3.8/dist/css/bootstrap.min.css": "sha384-sRIl4kxILFvY47J16cr9ZwB07vP4J8+LH7qKQnuqkuIAvNWLzeN8tE5YBujZqJLB",
    "pev2@1.21.0/dist/pev2.css": "sha384-yiWrpQsL+tNfH/5n9McbLMcpgte8v3MMThaUelvp1WW+TRCzpKBEExR4boFmhu5p",
}
_DRAW = """
if (window.Vue && window.pev2) {
  const { plan, query } = JSON.parse(document.getElementById("plan").textContent);
  document.getElementById("text").open = false;
  Vue.createApp({ render: () => Vue.h(pev2.Plan, { planSource: plan, planQuery: query }) }).mount("#drawn");
}
"""
# Nothing but the files above runs or is asked for, and nothing of the page is sent anywhere.
_POLICY = "default-src 'none'; script-src {host} '{draw}'; style-src {host} 'unsafe-inline'; img-src data:; font-src data:"
_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
{styles}
<style>
body {{ margin: 1rem; }}
#drawn:not(:empty) {{ height: 85vh; display: flex; flex-direction: column; border: 1px solid #ccc; }}
</style>
</head>
<body>
<h1 class="h4">{title}</h1>
<div id="drawn"></div>
<details id="text" open>
<summary>As text</summary>
<pre>{plan}</pre>
<pre>{query}</pre>
</details>
<script type="application/json" id="plan">{data}</script>
{scripts}
<script>{draw}</script>
</body>
</html>
"""


def render(title: str, query: str, plan: str) -> str:
    """
    Return the page. Whatever stands in the query or in its plan is shown, and does nothing.
    """
    data = json.dumps({"query": query, "plan": plan})
    for sign in "<>&":  # nothing in it ends a script or begins a comment
        data = data.replace(sign, f"\\u{ord(sign):04x}")
    own = base64.b64encode(hashlib.sha256(_DRAW.encode()).digest()).decode()
    return _PAGE.format(
        policy=_POLICY.format(host=HOST, draw=f"sha256-{own}"),
        title=html.escape(title),
        styles="\n".join(
            f'<link rel="stylesheet" href="{HOST}{path}" integrity="{digest}" crossorigin="anonymous">'
            for path, digest in STYLES.items()
        ),
        scripts="\n".join(
            f'<script src="{HOST}{path}" integrity="{digest}" crossorigin="anonymous"></script>'
            for path, digest in SCRIPTS.items()
        ),
        plan=html.escape(plan),
        query=html.escape(query),
        data=data,
        draw=_DRAW,
    )


def write(path: Path, content: str) -> None:
    """
    Write a page. Raises SettingsError for a place that cannot be written.
    """
    try:
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{path} cannot be written ({error.strerror}): name another file") from error
