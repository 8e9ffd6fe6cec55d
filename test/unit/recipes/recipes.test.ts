/** @file Recipes: every file is in the list and fits the methods it names; mistakes are told all at once. */
import { readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { datasetNames } from '../../../src/data/open.js'
import { presetByName } from '../../../src/distill/method.js'
import { methodByName } from '../../../src/distill/registry.js'
import { publishedCells } from '../../../src/distill/trajectory/published.js'
import { networkNames } from '../../../src/nn/networks/registry.js'
import { checkRecipe, override, type Recipe, recipeByName, recipeJsonSchema, recipeNames } from '../../../src/recipes/index.js'
import { expectError } from '../data/fixtures.js'

const folder = new URL('../../../src/recipes/', import.meta.url)
const valid: Recipe = { data: { name: 'cifar10' }, distill: { method: 'dm', ipc: 1 } }

describe('the list', () => {
  it('names every file, and no other', () => {
    const folders = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory())
    const files = folders.flatMap(({ name }) => readdirSync(new URL(name, folder)).map((file) => `${name}/${file.replace(/\.ts$/, '')}`))
    expect([...recipeNames].sort()).toEqual(files.sort())
  })

  it.each(recipeNames)('%s fits its data set, method, preset and networks', async (name) => {
    const { data, distill, evaluate, reported } = await recipeByName(name)
    const [folderName, cell] = name.split('/')
    expect([data.name, `${distill.method}-ipc${distill.ipc}`]).toEqual([folderName, cell])
    expect(datasetNames).toContain(data.name)
    const method = methodByName(distill.method)
    const { preset } = presetByName(method, distill.preset)
    expect(preset.settings({ ipc: distill.ipc, image: [32, 32, 3] }).iterations).toBeGreaterThanOrEqual(1000)
    for (const network of evaluate?.networks ?? []) expect(networkNames).toContain(network)
    expect(reported?.accuracy).toBeGreaterThan(0)
  })

  it('is what an unknown name is answered with', async () => {
    await expectError(() => recipeByName('cifar10/dm-ipc2'), 'not_found', /one of cifar10\/dm-ipc1, .*cifar10\/pad-ipc1000 but received/)
    await expectError(() => recipeByName('../../errors'), 'not_found', /one of cifar10\/dm-ipc1/)
    await expectError(() => recipeByName(3 as never), 'invalid_option', /a name such as/)
  })
})

describe('of trajectory matching', () => {
  const methods = ['mtt', 'ftd', 'tesla', 'datm', 'pad'] as const

  it('there is one for every published cell whose data can be read, whitened as published', async () => {
    const keys: Readonly<Record<string, string>> = { tiny: 'tiny-imagenet' }
    for (const method of methods) {
      const stated = publishedCells(method).filter(({ data }) => data !== 'imagenet64')
      const wanted = stated.map(({ data, ipc }) => `${keys[data] ?? data}/${method}-ipc${ipc}`)
      expect(recipeNames.filter((name) => name.includes(`/${method}-`)).sort()).toEqual([...new Set(wanted)].sort())
      for (const { data, ipc, zca } of stated) {
        const recipe = await recipeByName(`${keys[data] ?? data}/${method}-ipc${ipc}`)
        expect(recipe.data.zca ?? false).toBe(zca)
      }
    }
  })
})

describe('checkRecipe', () => {
  it('tells every problem with its path', () =>
    expectError(
      () =>
        checkRecipe('mine', {
          data: { nam: 'x' },
          distill: { method: 'dm', ipc: 0, options: { lambda: true } },
          evaluate: { networks: [] },
        }),
      'invalid_option',
      /^mine: 5 problems: data\.name: .*; data: .*"nam".*; distill\.ipc: .*; distill\.options\.lambda: .*; evaluate\.networks: /,
    ))

  it('takes nothing that is no recipe', () =>
    expectError(() => checkRecipe('mine', null), 'invalid_option', /^mine: 1 problem: recipe: .*expected object/))

  it('gives a schema that other programs read', () => {
    const schema = recipeJsonSchema() as { properties: { distill: { properties: object; required: string[] } } }
    expect(schema).toMatchObject({ type: 'object', required: ['data', 'distill'], additionalProperties: false })
    expect(schema.properties.distill.required).toEqual(['method', 'ipc'])
  })
})

describe('override', () => {
  it('puts values at dotted paths and leaves the recipe as it was', () => {
    const changed = override(valid, { 'distill.imageLr': 2, 'evaluate.epochs': 300, 'distill.options.lambda': 0.02 })
    expect(changed).toEqual({
      data: { name: 'cifar10' },
      distill: { method: 'dm', ipc: 1, imageLr: 2, options: { lambda: 0.02 } },
      evaluate: { epochs: 300 },
    })
    expect(valid.distill).toEqual({ method: 'dm', ipc: 1 })
  })

  it.each(['', 'distill.', '.ipc', '__proto__.polluted', 'distill.__proto__.x'])("refuses '%s'", async (path) => {
    await expectError(() => override(valid, { [path]: 1 }), 'invalid_option', /a dotted path/)
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
  })

  it('reaches no inherited property', () => {
    const changed = override(valid, { 'constructor.prototype.polluted': 1 })
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
    return expectError(() => checkRecipe('mine', changed), 'invalid_option', /constructor/)
  })
})
