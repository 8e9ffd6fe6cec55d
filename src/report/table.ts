/** @file Plain tables of text: the first column names the row, the others are numbers. */
import { escapeHtml } from './html.js'

/** Cells are text; `foot` rows stand below a line. */
export function textTable(caption: string, head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = ([first, ...rest]: readonly string[]) =>
    `<tr><th scope="row">${escapeHtml(first)}</th>${rest.map((cell) => `<td class="number">${escapeHtml(cell)}</td>`).join('')}</tr>`
  return `<div class="scroll"><table><caption>${escapeHtml(caption)}</caption>
<thead><tr>${head.map((name) => `<th scope="col">${escapeHtml(name)}</th>`).join('')}</tr></thead><tbody>${rows.map(cells).join('\n')}</tbody></table></div>`
}

/** Longest table that stands open. */
const mostOpen = 20

/** Content that can be folded away, and is when it is long. */
export const foldable = (summary: string, length: number, content: string): string =>
  `<details${length <= mostOpen ? ' open' : ''}><summary>${escapeHtml(summary)}</summary>${content}</details>`
