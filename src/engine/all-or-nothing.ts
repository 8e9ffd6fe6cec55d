/** @file Ownership of several device resources made together: when one cannot be made, those before it are freed. */

interface Disposable {
  dispose(): void
}

/** Takes a resource into the set being made and gives it back. */
export type Own = <R extends Disposable>(resource: R) => R

/** Runs `make`, which passes every resource it creates through `own`. When it throws, they are disposed and the error goes on. */
export function allOrNothing<T>(make: (own: Own) => T): T {
  const made: Disposable[] = []
  try {
    return make((resource) => {
      made.push(resource)
      return resource
    })
  } catch (error) {
    for (const resource of made) resource.dispose()
    throw error
  }
}
