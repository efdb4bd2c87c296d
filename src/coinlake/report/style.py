"""How the report looks: one style sheet for screen, phone, dark rooms and paper."""

STYLE = """
:root{color-scheme:light dark;--paper:#f7f6f2;--card:#fffefb;--ink:#1b1e23;--soft:#5b616b;--faint:#6f757f;
--rule:#e3e0d8;--bed:#e9e6de;--accent:#1f5fae;--up:#0b7a5c;--down:#b8412b;--warn:#8a5a00;--warnbed:#fdf1d3;
--mono:ui-monospace,"SF Mono","Cascadia Mono",Menlo,Consolas,monospace;
--serif:"Iowan Old Style","Palatino Linotype",Palatino,Georgia,serif}
@media(prefers-color-scheme:dark){:root{--paper:#121418;--card:#1a1d23;--ink:#e9e7e1;--soft:#a5abb5;--faint:#868d98;
--rule:#2b2f37;--bed:#2b2f37;--accent:#7db2f5;--up:#4cc7a1;--down:#f0876f;--warn:#f1c66b;--warnbed:#33290f}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;font-variant-numeric:tabular-nums}
main,header{max-width:1120px;margin:0 auto;padding:0 24px}
header{padding-top:36px}
.brand{font:600 13px/1 var(--mono);letter-spacing:.02em;color:var(--accent)}
h1{font:600 clamp(28px,4.4vw,44px)/1.12 var(--serif);letter-spacing:-.01em;margin:14px 0 10px;text-wrap:balance}
.lede{font-size:17px;color:var(--ink);max-width:96ch;margin:0 0 6px;text-wrap:pretty}
.fine{color:var(--soft);font-size:13px;margin:4px 0}
h2{font:600 22px/1.2 var(--serif);margin:0 0 4px}
section{border-top:1px solid var(--rule);padding-top:22px;margin-top:30px}
section>.fine{max-width:92ch;text-wrap:pretty;margin-bottom:14px}
.banner{background:var(--warnbed);color:var(--warn);padding:10px 24px;font-weight:600;text-align:center;font-size:14px;
overflow-wrap:anywhere;text-wrap:pretty}
.banner+.banner{border-top:1px solid var(--paper)}
.up{color:var(--up)}.down{color:var(--down)}.none,.flat{color:var(--faint)}
.cards{display:grid;gap:12px;grid-template-columns:repeat(4,1fr)}
.two{display:grid;gap:12px;grid-template-columns:1fr 1fr}
.card{background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:14px 16px;min-width:0}
.kpi .name{color:var(--soft);font-size:13px}
.kpi .value{font:600 25px/1.25 var(--serif);white-space:nowrap}
.kpi .change{font-size:12.5px;color:var(--soft);min-height:1.5em}
.spark{display:block;width:100%;height:34px;overflow:visible;color:var(--accent)}
.spark path{vector-effect:non-scaling-stroke}
.spark .line{fill:none;stroke:currentColor;stroke-width:1.5;stroke-linejoin:round;stroke-linecap:round}
.spark .area{fill:currentColor;opacity:.09}
.spark .dot{stroke:currentColor;stroke-width:5;stroke-linecap:round}
.spark.up{color:var(--up)}.spark.down{color:var(--down)}
h3{font-size:14px;font-weight:600;margin:0 0 10px}
.meter,.balance{display:block;width:100%;height:6px}.balance{height:10px}
.meter .bed{fill:var(--bed)}.meter .fill{fill:var(--accent)}
.balance .up{fill:var(--up)}.balance .down{fill:var(--down)}
.pair{display:flex;justify-content:space-between;gap:12px;margin:12px 0 5px;font-size:14px}
.pair:first-of-type{margin-top:0}
.pair b{font-weight:600}
.mood{display:grid;grid-template-columns:176px 1fr;gap:8px 26px;align-items:center}
.gauge{display:block;width:176px;max-width:100%}
.arc{fill:none;stroke-width:13}
.arc0{stroke:var(--down)}.arc1{stroke:var(--down);opacity:.5}.arc2{stroke:var(--faint);opacity:.5}
.arc3{stroke:var(--up);opacity:.5}.arc4{stroke:var(--up)}
.needle{stroke:var(--ink);stroke-width:3;stroke-linecap:round}.hub{fill:var(--ink)}
.verdict{text-align:center}.verdict b{font:600 30px/1 var(--serif);display:block}
.parts{display:grid;grid-template-columns:auto 1fr 2.2em;gap:6px 12px;align-items:center;font-size:13.5px}
.parts span:nth-child(3n){text-align:right}
table{border-collapse:collapse;width:100%;font-size:14px}
th{font-weight:500;font-size:12.5px;color:var(--soft);text-align:right;padding:0 0 6px 14px;border-bottom:1px solid
var(--rule);white-space:nowrap}
td{padding:7px 0 7px 14px;border-bottom:1px solid var(--rule);text-align:right;white-space:nowrap}
th:first-child,td:first-child{padding-left:0}
tbody tr:last-child td{border-bottom:0}
.l{text-align:left}td.l.wrap{white-space:normal;min-width:9em}
td .sym{color:var(--faint);font-size:12.5px;text-transform:uppercase;margin-right:6px;display:inline-block}
td.name{white-space:normal;overflow-wrap:anywhere;min-width:96px}
.near{display:none}.facts td:first-child{width:17em}
td .spark{width:104px;height:24px;margin-left:auto}
.two td .spark{width:84px}.two td{padding-left:10px}
.rules{columns:2;column-gap:12px}
.rule{break-inside:avoid;margin-bottom:12px}
.rule h3{display:flex;justify-content:space-between;gap:10px;align-items:baseline;margin-bottom:4px;font-size:15px}
.tag{flex:none;font-size:11.5px;font-weight:600;border-radius:99px;padding:2px 9px;border:1px solid currentColor;
color:var(--faint);white-space:nowrap}
.edge .tag{color:var(--accent)}
.rule .fine{margin:2px 0}
.rule ul{list-style:none;margin:10px 0 0;padding:0}
.rule li{display:grid;grid-template-columns:1.2em 1fr;padding:6px 0;border-top:1px solid var(--rule);font-size:14px}
.rule li .what{color:var(--soft)}
.quiet li,.quiet li .what{color:var(--faint)}.quiet li b{color:var(--soft)}
.quiet h3{color:var(--soft)}
.quiet li b{font-weight:500}
.empty{color:var(--soft);font-style:italic;margin:0}
.scroll{overflow-x:auto}
footer{border-top:1px solid var(--rule);margin-top:36px;padding-top:18px;padding-bottom:48px;color:var(--soft);
font-size:13px}
footer p{margin:0 0 6px;max-width:86ch}
.card:has(table){overflow-x:auto}
@media screen and (max-width:900px){.far{display:none}.near{display:block;color:var(--soft);font-size:12.5px}}
@media(max-width:900px){.cards{grid-template-columns:1fr 1fr}.two{grid-template-columns:1fr}.rules{columns:1}}
@media(max-width:640px){main,header{padding-left:16px;padding-right:16px}
td.name,th.l{padding-left:0}
.facts td:first-child{width:auto;white-space:normal}
.cards{gap:8px}.card{padding:12px}.kpi .value{font-size:21px}.lede{font-size:16px}
.mood{grid-template-columns:1fr}.gauge{margin:0 auto}td,th{padding-left:10px}td .spark{width:64px}
table{font-size:13.5px}}
@media(max-width:380px){main,header{padding-left:10px;padding-right:10px}.card{padding:10px 8px}table{font-size:12.5px}
td,th,.two td{padding-left:6px}td.name{min-width:76px}td .spark,.two td .spark{width:48px}
.cards{grid-template-columns:1fr}}
@media print{.card:has(table){overflow:visible}
:root{color-scheme:light;--paper:#fff;--card:#fff;--ink:#000;--soft:#444;--faint:#777;--rule:#ccc;
--bed:#e5e5e5;--accent:#1f5fae;--up:#0b7a5c;--down:#b8412b;--warn:#000;--warnbed:#fff}
@page{margin:14mm}body{font-size:10.5pt;-webkit-print-color-adjust:exact;print-color-adjust:exact}
main,header{max-width:none;padding-left:0;padding-right:0}header{padding-top:0}
.banner{border:1px solid #000}.card,tr,li{break-inside:avoid}h2,h3,section>.fine{break-after:avoid}
thead{display:table-header-group}.cards{grid-template-columns:repeat(4,1fr)}
table{font-size:8.5pt}td,th{padding-left:8px}td .spark{width:74px}td{padding-top:4px;padding-bottom:4px}
.brand{margin-top:12px}section{margin-top:18px;padding-top:14px}
.kpi .value{font-size:15pt}}
"""
