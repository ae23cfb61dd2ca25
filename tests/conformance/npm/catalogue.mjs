// Prints the tests of an installed suite as JSON: node catalogue.mjs FOLDER
import path from 'node:path'
import { pathToFileURL } from 'node:url'

const folder = path.join(process.argv[2], 'node_modules', 'http-cache-tests', 'tests')
const load = async name => (await import(pathToFileURL(path.join(folder, name)))).default
const areas = [...await load('index.mjs'), await load('surrogate-control.mjs')]
const tests = areas.flatMap(area => area.tests.map(test => ({
  area: area.id,
  id: test.id,
  kind: test.kind ?? 'required',
  browserOnly: test.browser_only === true,
  dependsOn: test.depends_on ?? []
})))
process.stdout.write(JSON.stringify(tests))
