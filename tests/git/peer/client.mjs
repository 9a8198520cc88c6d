// isomorphic-git as a page uses it: over fetch, through a corsProxy. One command a line, one answer.
import fs from 'node:fs'
import { createInterface } from 'node:readline'
import git from 'isomorphic-git'
import http from 'isomorphic-git/http/web'

const commands = {
  async clone({ dir, url, corsProxy, headers, auth, wrongFirst, depth }) {
    const asked = []
    const onAuth = (where) => {
      asked.push(where)
      return wrongFirst ? { username: 'ann', password: 'wrong' } : auth
    }
    const onAuthFailure = () => {
      asked.push('again')
      return wrongFirst ? auth : { cancel: true }
    }
    await git.clone({
      fs, http, dir, url, corsProxy, headers, depth, singleBranch: true, onAuth, onAuthFailure,
    })
    const [last] = await git.log({ fs, dir, depth: 1 })
    return { asked, head: last.oid, message: last.commit.message.trim() }
  },

  async push({ dir, path, content, message, corsProxy, headers, auth }) {
    const author = { name: 'Ann', email: 'ann@example.test' }
    fs.writeFileSync(`${dir}/${path}`, content)
    await git.add({ fs, dir, filepath: path })
    const oid = await git.commit({ fs, dir, message, author })
    const done = await git.push({ fs, http, dir, corsProxy, headers, onAuth: () => auth })
    return { oid, ok: done.ok, refs: done.refs }
  },

  async refs({ url, corsProxy, headers, auth, protocolVersion }) {
    return await git.listServerRefs({
      http, url, corsProxy, headers, protocolVersion, onAuth: () => auth,
    })
  },
}

for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...options } = JSON.parse(line)
  let answer
  try {
    answer = { result: (await commands[command](options)) ?? null }
  } catch (error) {
    const { code, message, data } = error
    answer = { failed: { code: code ?? error.name, message, data: data ?? null } }
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
}
