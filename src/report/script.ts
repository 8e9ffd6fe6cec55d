/** @file What makes the page alive: curves under the pointer (uPlot) and enlarged images. Without scripts the page is complete. */
import { readFileSync } from 'node:fs'
import { packageRequire } from '../package-root.js'

const packageFile = (path: string): string => readFileSync(packageRequire.resolve(path), 'utf8')

/** Text inside <script>: nothing in it may end the element. */
const inline = (text: string): string => text.replace(/<\/(?=script)/gi, '<\\/').replace(/<!--/g, '<\\!--')

export const chartStyle = (): string => packageFile('uplot/dist/uPlot.min.css')

/** The JSON that the script reads: escaped so that no text in it is markup. */
export const dataElement = (id: string, value: unknown): string =>
  `<script type="application/json" id="${id}">${JSON.stringify(value).replace(/</g, '\\u003c')}</script>`

export const pageScript = (): string =>
  `<script>${inline(packageFile('uplot/dist/uPlot.iife.min.js'))}</script><script>${behaviour}</script>`

const behaviour = `
(() => {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()
  for (const holder of document.querySelectorAll('.live')) {
    const { steps, series, logarithmic, marked, axis: across } = JSON.parse(document.getElementById(holder.id + '-data').textContent)
    let chart
    const draw = () => {
      chart?.destroy()
      holder.replaceChildren()
      const axis = { stroke: colour('--soft'), grid: { stroke: colour('--rule'), width: 1 }, ticks: { stroke: colour('--rule') } }
      const curve = ({ name, dashed }, i) => ({
        label: name, stroke: colour(dashed ? '--soft' : '--curve-' + i % 6), width: dashed ? 1.25 : 1.75, spanGaps: true,
        ...(dashed && { dash: [5, 4] }), points: dashed ? { show: false } : marked ? { show: true } : {},
        value: (_, v) => v == null ? '' : v.toPrecision(4),
      })
      const ends = series.flatMap(({ low = [], high = [] }) => [...low, ...high]).filter((v) => v != null)
      const bands = (u) => {
        for (const [i, { low, high }] of series.entries()) {
          const shown = (low ?? []).flatMap((v, k) => v == null || high[k] == null ? [] : [k])
          if (shown.length < 2 || !u.series[i + 1].show) continue
          const at = (k, v) => [u.valToPos(steps[k], 'x', true), u.valToPos(v, 'y', true)]
          u.ctx.save()
          u.ctx.globalAlpha = 0.14
          u.ctx.fillStyle = colour('--curve-' + i % 6)
          u.ctx.beginPath()
          for (const k of shown) u.ctx.lineTo(...at(k, high[k]))
          for (const k of shown.reverse()) u.ctx.lineTo(...at(k, low[k]))
          u.ctx.fill()
          u.ctx.restore()
        }
      }
      const range = (_, min, max) => {
        const [from, to] = [Math.min(min, ...ends), Math.max(max, ...ends)]
        const space = 0.03 * (to - from)
        return [from - space, to + space]
      }
      chart = new uPlot({
        width: holder.clientWidth, height: 260,
        scales: { x: { time: false }, y: logarithmic ? { distr: 3 } : ends.length > 0 ? { range } : {} },
        axes: [{ ...axis }, { ...axis, size: 64 }],
        series: [{ label: across }, ...series.map(curve)],
        hooks: { drawAxes: [bands] },
      }, [steps, ...series.map(({ values }) => values)], holder)
    }
    draw()
    addEventListener('resize', draw)
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw)
  }
  const dialog = document.getElementById('enlarged')
  const [picture, caption] = [dialog?.querySelector('img'), dialog?.querySelector('p')]
  for (const button of document.querySelectorAll('.zoom')) {
    const image = button.querySelector('img')
    const captions = JSON.parse(button.dataset.captions ?? '[]')
    const cell = Number(button.dataset.imageWidth) + 1
    const numberAt = (event) => Math.max(0, Math.floor(event.offsetX / image.clientWidth * image.naturalWidth / cell))
    button.addEventListener('click', (event) => {
      picture.src = image.src
      picture.alt = image.alt
      const factor = Math.max(1, Math.round(256 / image.naturalHeight))
      picture.width = image.naturalWidth * factor
      picture.height = image.naturalHeight * factor
      const number = event.detail === 0 ? 0 : numberAt(event)
      caption.textContent = captions[number] ?? image.alt
      dialog.showModal()
      picture.parentElement.scrollLeft = number * cell * factor
    })
    button.addEventListener('mousemove', (event) => { image.title = captions[numberAt(event)] ?? '' })
  }
  dialog?.addEventListener('click', (event) => { if (event.target === dialog) dialog.close() })
})()
`
