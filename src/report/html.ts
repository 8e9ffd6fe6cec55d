/** @file HTML text: escaping and the few elements a report is made of. */

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

export const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => entities[character])

/** At most `digits` significant digits, without an exponent for everyday sizes. */
export function formatNumber(value: number, digits = 4): string {
  if (!Number.isFinite(value)) return String(value)
  if (Number.isInteger(value) && Math.abs(value) < 1e9) return String(value)
  return String(Number(value.toPrecision(digits)))
}

/** Three significant digits, with an exponent where a number is small or large: '0.0123', '1.2e-5', '3e6'. */
export function shortNumber(value: number): string {
  const size = Math.abs(value)
  if (size === 0 || (size >= 1e-3 && size < 1e5)) return formatNumber(value, 3)
  return Number(value.toPrecision(2)).toExponential().replace('e+', 'e')
}

/** '3.4 GB', '12 MB': decimal units, two significant digits at least. */
export function formatBytes(bytes: number): string {
  const [unit, size] = bytes >= 1e9 ? ['GB', 1e9] : bytes >= 1e6 ? ['MB', 1e6] : ['kB', 1e3]
  const value = bytes / size
  return `${value.toFixed(value < 10 ? 1 : 0)} ${unit}`
}

/** '1 h 2 min', '3 min 4 s' or '5.6 s'. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return '–'
  if (seconds < 60) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60)]
  return hours > 0 ? `${hours} h ${minutes} min` : `${minutes} min ${whole % 60} s`
}

function formatSetting(value: unknown): string {
  if (typeof value === 'number') return formatNumber(value, 6)
  if (Array.isArray(value)) return value.map(formatSetting).join(', ')
  return value === null || value === undefined ? '–' : String(value)
}

/** A two-column table of names and values. */
export function definitionTable(caption: string, entries: Readonly<Record<string, unknown>>): string {
  const rows = Object.entries(entries).map(
    ([name, value]) => `<tr><th scope="row">${escapeHtml(name)}</th><td>${escapeHtml(formatSetting(value))}</td></tr>`,
  )
  return `<table class="settings"><caption>${escapeHtml(caption)}</caption><tbody>${rows.join('')}</tbody></table>`
}
