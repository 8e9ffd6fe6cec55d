/** @file The report's style sheet: system fonts, light and dark, readable in print. */

export const style = `
:root { color-scheme: light dark; --text: #1c2024; --soft: #5b6470; --paper: #ffffff; --panel: #f4f6f8; --rule: #d8dde3; --accent: #0b6bcb;
  --curve-0: #0b6bcb; --curve-1: #b3530a; --curve-2: #1f7a3d; --curve-3: #8a3ab9;
  --curve-4: #0f7f8c; --curve-5: #b8336a; --left-out: #b4bec9 }
@media (prefers-color-scheme: dark) { :root { --text: #e6e9ec; --soft: #9aa5b1; --paper: #14171a; --panel: #1d2226; --rule: #333b43; --accent: #5cadff;
  --curve-0: #5cadff; --curve-1: #f0a35e; --curve-2: #6fce8f; --curve-3: #c99bf0;
  --curve-4: #58c9d6; --curve-5: #f286b0; --left-out: #56616c } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 2rem 1rem 4rem; max-width: 60rem; background: var(--paper); color: var(--text); font: 16px/1.5 system-ui, sans-serif }
h1 { font-size: 1.6rem; margin: 0 }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .75rem }
.lead, caption, footer { color: var(--soft) }
.lead { margin: .25rem 0 1.5rem }
.figures { display: flex; flex-wrap: wrap; gap: .75rem; margin: 0 }
.figures div { background: var(--panel); border-radius: .5rem; padding: .75rem 1rem; min-width: 10rem }
.figures dt { color: var(--soft); font-size: .85rem }
.figures dd { margin: 0; font-size: 1.35rem; font-variant-numeric: tabular-nums }
table { border-collapse: collapse; width: 100% }
caption { text-align: left; padding-bottom: .4rem; font-size: .9rem }
th, td { text-align: left; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid var(--rule); vertical-align: middle }
.settings th, .settings td { overflow-wrap: anywhere }
th[scope=row] { font-weight: 500 }
.settings th { width: min(14rem, 35%); color: var(--soft) }
:is(.settings, details, .classes) + .settings { margin-top: 1.25rem }
.number { font-variant-numeric: tabular-nums; white-space: nowrap }
.classes { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 18rem), 1fr)); gap: 1rem }
.classes.wide { grid-template-columns: repeat(auto-fill, minmax(min(100%, 27.5rem), 1fr)) }
.class { background: var(--panel); border-radius: .5rem; padding: .75rem 1rem; min-width: 0 }
.classes .class h3 { margin: 0 0 .5rem; font-size: 1rem; overflow-wrap: anywhere }
figure { margin: 0 0 .5rem; overflow-x: auto }
figcaption { color: var(--soft); font-size: .8rem; position: sticky; left: 0; width: fit-content }
.zoom { border: 0; padding: 0; background: none; cursor: zoom-in; display: block }
img { display: block; image-rendering: pixelated; max-width: none }
dialog { max-width: min(96vw, 70rem); border: 1px solid var(--rule); border-radius: .5rem; background: var(--paper); color: var(--text) }
dialog::backdrop { background: rgb(0 0 0 / .6) }
details { margin-top: 1rem }
summary { cursor: pointer }
h3, summary { font-weight: 600 }
h3 { font-size: 1.05rem; margin: 1.5rem 0 .5rem }
.u-legend :is(th, td) { border: 0; padding: .1rem .2rem; font-weight: 500 }
.u-legend { margin-top: .25rem }
.scroll { overflow-x: auto; position: relative }
.bar { display: block; width: 10rem; height: .6rem; border-radius: .3rem; background: var(--panel); overflow: hidden }
.bar span { display: block; height: 100%; background: var(--accent) }
.chart { width: 100%; height: auto; font-size: 12px }
.chart text { fill: var(--soft) }
.chart .grid { stroke: var(--rule) }
.chart .line { fill: none; stroke-width: 1.75; stroke-linejoin: round }
.chart .mark { stroke: none }
.chart.labels rect { fill: var(--accent) }
.histogram .bars { fill: var(--accent) }
.histogram .bars.left-out { fill: var(--left-out) }
.histogram .axis { stroke: var(--soft) }
.histogram .median { stroke: var(--text); stroke-dasharray: 3 2 }
.histogram .reach { stroke: var(--accent); stroke-width: 3 }
.multiples { display: grid; grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr)); gap: 1rem; margin-top: 1rem }
.multiples h4 { margin: 0; font-size: .9rem; font-weight: 600; overflow-wrap: anywhere }
.multiples p { margin: 0; color: var(--soft); font-size: .75rem }
.multiples .chart { font-size: 11px }
figure.plain { overflow: visible }
figure.plain figcaption { position: static }
.histogram.medium { display: none }
@media (max-width: 40rem) { .histogram.large { display: none } .histogram.medium { display: block } }
.matrix { width: auto }
.matrix caption { white-space: nowrap }
.matrix :is(td.number, thead th) { text-align: right; padding: .35rem .75rem }
.bar.before span { background: var(--left-out) }
.bar + .bar { margin-top: .2rem }
${[0, 1, 2, 3, 4, 5].map((i) => `.curve-${i} .line { stroke: var(--curve-${i}) } .curve-${i} .mark, .band.curve-${i} { fill: var(--curve-${i}) } .dots.curve-${i} { stroke: var(--curve-${i}) } .legend .curve-${i}::before { background: var(--curve-${i}) }`).join('\n')}
.chart .band { fill-opacity: .14; stroke: none }
.chart .dashed .line { stroke: var(--soft); stroke-dasharray: 5 4 }
.dots { fill: none; stroke-linecap: round; stroke-width: 4; stroke-opacity: .8 }
.dots.real { stroke: var(--left-out); stroke-width: 3 }
.legend .real::before { background: var(--left-out) }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; list-style: none; margin: .25rem 0 0; padding: 0; font-size: .85rem; color: var(--soft) }
.legend li::before { content: ''; display: inline-block; width: 1.1rem; height: .2rem; margin-right: .4rem; vertical-align: middle; background: var(--soft) }
pre { background: var(--panel); padding: .75rem 1rem; border-radius: .5rem; overflow-x: auto }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%) }
footer { margin-top: 3rem; font-size: .85rem }
`
