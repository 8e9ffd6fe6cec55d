/** @file Whether a page closes the elements that it opens. */
import { expect } from 'vitest'

/** Names of elements that stay open; fails where one is closed that is not open. */
export function elementsLeftOpen(html: string): string[] {
  const open: string[] = []
  for (const [, close, name, rest] of html
    .replace(/<style>[\s\S]*?<\/style>|<script[\s\S]*?<\/script>/g, '')
    .matchAll(/<(\/?)([a-z][a-z0-9]*)([^>]*)>/g)) {
    if (['meta', 'img', 'br'].includes(name) || rest.endsWith('/')) continue
    if (close) expect(open.pop()).toBe(name)
    else open.push(name)
  }
  return open
}
