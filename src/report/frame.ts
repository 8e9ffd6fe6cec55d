/** @file What every page is framed by: head with styles, header, sections, the dialog of enlarged images, script, footer. */
import { escapeHtml } from './html.js'
import { chartStyle, pageScript } from './script.js'
import { style } from './style.js'

export interface PageParts {
  /** Text; everything else is markup. */
  readonly title: string
  readonly header: string
  readonly main: string
  readonly footer?: string
}

export const framedPage = ({ title, header, main, footer = '' }: PageParts): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${style}${chartStyle()}</style>
</head>
<body>
<header>
<h1>${escapeHtml(title)}</h1>
${header}</header>
<main>
${main}
</main>
<dialog id="enlarged"><div class="scroll"><img alt="" src="data:,"></div><p></p><form method="dialog"><button>Close</button></form></dialog>
${footer && `<footer>${footer}</footer>\n`}${pageScript()}
</body>
</html>
`

/** Headline numbers: names and values, as text. */
export const figureList = (entries: readonly (readonly [string, string])[]): string =>
  `<dl class="figures">${entries.map(([name, value]) => `<div><dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd></div>`).join('')}</dl>`

export const section = (heading: string, content: string): string =>
  content === '' ? '' : `<section><h2>${escapeHtml(heading)}</h2>\n${content}</section>`
