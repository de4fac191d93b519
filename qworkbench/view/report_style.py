"""The style sheet of the report: a readable column, wide tables that scroll, dark mode, print."""

from __future__ import annotations

from qworkbench.view.palette import DARK, LIGHT, Theme
from qworkbench.view.tables import SCOPE, TABLE_CSS, dark_table_css


def _variables(theme: Theme) -> str:
    cpu = theme.placement["CPU"]
    return (
        f"--paper:{theme.background};--card:{theme.surface};--ink:{theme.text};--muted:{theme.muted};"
        f"--line:{theme.frame};--link:{theme.placement['BPU'].stroke};--cpu:{cpu.stroke};"
        f"--none:{theme.placement['NONE'].stroke};"
    )


_LAYOUT = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 'Helvetica Neue',Arial,'Liberation Sans',
'Segoe UI',Roboto,system-ui,sans-serif}
header,main{max-width:1080px;margin:0 auto;padding:0 28px}
header{padding-top:48px}
h1{font-size:34px;line-height:1.15;letter-spacing:-.015em;margin:0 0 10px;text-wrap:balance}
.lead{font-size:19px;line-height:1.45;color:var(--muted);margin:0 0 22px;max-width:46em}
nav ul{list-style:none;display:flex;flex-wrap:wrap;gap:6px 22px;margin:0;padding:12px 0;
border-block:1px solid var(--line);font-size:14px}
a{color:var(--link);text-decoration:none}a:hover,a:focus-visible{text-decoration:underline}
section{margin:44px 0 0}
h2{font-size:21px;letter-spacing:-.005em;margin:0 0 14px}
h3{font-size:16px;margin:0 0 4px;overflow-wrap:anywhere}
h3 small{font-weight:400;font-size:13px;color:var(--muted);margin-left:6px}
p{margin:0 0 8px;max-width:46em}
ol,ul{margin:0 0 8px;padding-left:22px}
article{border-left:4px dashed var(--cpu);background:var(--card);border-radius:0 8px 8px 0;
padding:14px 18px;margin:0 0 12px;break-inside:avoid}
article p,article li{font-size:15px}
figure{margin:0}
figure .scroll{border:1px solid var(--line);border-radius:10px;max-height:86vh;text-align:center}
figure svg{display:block;margin:0 auto}
.plot{margin:0 0 18px}
.plot svg{width:100%;height:auto}
.plot figcaption{font-size:13px;color:var(--muted);margin-top:4px}
.p-bpu{fill:var(--link)}.p-cpu{fill:var(--cpu)}.p-none{fill:var(--none)}
.p-grid{fill:none;stroke:var(--line)}
.p-text{font-size:12px;fill:var(--muted)}
pre{margin:0;padding:14px 18px;border-radius:8px;background:var(--card);font-size:13px;overflow:auto}
.scroll{overflow:auto;max-height:80vh}
.scroll:focus-visible{outline:2px solid var(--link);outline-offset:3px}
#reasons td:last-child,#assumptions td:last-child{white-space:normal;min-width:22em}
.scroll thead th{position:sticky;top:0;background:var(--paper)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 20px;margin:0;font-size:14px}
dt{color:var(--muted)}dd{margin:0;overflow-wrap:anywhere}
main{padding-bottom:72px}
.dark{display:none}
"""

_PRINT = """
@page{margin:16mm}
nav{display:none}
header,main{max-width:none;padding:0}
body{font-size:11pt}
figure .scroll,.scroll{max-height:none;overflow:visible;border:0}
thead{display:table-header-group}tr{break-inside:avoid}h2{break-after:avoid}
.scroll thead th{position:static}
"""
_PRINT += f"{SCOPE}{{font-size:8pt}}{SCOPE} th,{SCOPE} td{{padding-right:6px;white-space:normal}}"

PAGE_CSS = (
    f":root{{{_variables(LIGHT)}}}{_LAYOUT}{TABLE_CSS}"
    f"@media screen and (prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}"
    f".light{{display:none}}.dark{{display:block}}{dark_table_css()}}}"
    f"@media print{{{_PRINT}}}"
)
"""Everything that the report needs; colours come from the palette."""
