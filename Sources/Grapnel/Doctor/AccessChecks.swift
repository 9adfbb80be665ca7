// AccessChecks: asks the API server, right by right, what the server's account may do (SelfSubjectAccessReview, which is stored
// nowhere).
//
// Source: https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/self-subject-access-review-v1/

import CLinuxIO
import Delivery
import Kubernetes

struct AccessChecks: Sendable {
    let settings: ServerSettings
    let client: KubernetesClient

    private static let review = APIResource(
        group: "authorization.k8s.io", version: "v1", kind: "SelfSubjectAccessReview",
        plural: "selfsubjectaccessreviews",
        isNamespaced: false)
    private static let atOnce = 8
    private static let needsMax = 1_000
    /// For all of them together.
    private static let seconds = 30.0

    private enum Answer: Sendable {
        case allowed
        case denied
        case failed(KubernetesError)
    }

    func run(_ needs: [AccessNeed]) -> (findings: [Finding], denied: [AccessNeed]) {
        guard !needs.isEmpty else { return ([.note("rights", "none are needed")], []) }
        let asked = Array(needs.prefix(Self.needsMax))
        guard let first = Bounded.run({ await self.ask(asked[0]) }) else {
            return (
                [Bounded.hung("rights", "see why the API server's authorisation is slow (a webhook that is down)")], []
            )
        }
        if case .failed(let error) = first {
            return ([.fail("rights", "cannot be asked for: \(error)", Self.remedy(error))], [])
        }
        let answers = Blocking.wait(seconds: Self.seconds) { await self.ask(asked) }
        guard let answers else {
            return (
                [
                    .fail(
                        "rights", "no end after \(Int(Self.seconds)) s",
                        "see why the API server's authorisation is slow")
                ], []
            )
        }
        var (findings, denied) = Self.judge(answers.sorted { $0.0.sortKey < $1.0.sortKey })
        if needs.count > asked.count {
            findings.append(.note("rights", "\(needs.count) are needed; the first \(asked.count) were asked for"))
        }
        return (findings, denied)
    }

    private static func remedy(_ error: KubernetesError) -> String {
        error.statusCode == 403
            ? "let this account create selfsubjectaccessreviews (the ClusterRole system:basic-user does)"
            : "see what the API server's log says"
    }

    private func ask(_ needs: [AccessNeed]) async -> [(AccessNeed, Answer)] {
        await withTaskGroup(of: (AccessNeed, Answer).self) { group in
            var rest = needs[...]
            var answers: [(AccessNeed, Answer)] = []
            for need in rest.prefix(Self.atOnce) { group.addTask { (need, await self.ask(need)) } }
            rest = rest.dropFirst(Self.atOnce)
            for await answer in group {
                answers.append(answer)
                if let need = rest.popFirst() { group.addTask { (need, await self.ask(need)) } }
            }
            return answers
        }
    }

    private func ask(_ need: AccessNeed) async -> Answer {
        let parts = need.resource.split(separator: "/", maxSplits: 1).map(String.init)
        var attributes: [JSONValue.Member] = [
            .init(name: "verb", value: .string(need.verb)), .init(name: "group", value: .string(need.group)),
            .init(name: "resource", value: .string(parts[0])),
        ]
        if parts.count == 2 { attributes.append(.init(name: "subresource", value: .string(parts[1]))) }
        if let namespace = need.namespace { attributes.append(.init(name: "namespace", value: .string(namespace))) }
        if let name = need.name { attributes.append(.init(name: "name", value: .string(name))) }
        let body: JSONValue = [
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": ["resourceAttributes": .object(attributes)],
        ]
        do throws(KubernetesError) {
            let data = try await client.create(Self.review, namespace: nil, body: body.serialized)
            guard let allowed = JSONValue(data)?["status"]?["allowed"]?.boolean else {
                throw KubernetesError(
                    call: KubernetesCall(verb: "create", group: Self.review.group, resource: Self.review.plural),
                    cause: .unreadableAnswer("no review"))
            }
            return allowed ? .allowed : .denied
        } catch {
            return .failed(error)
        }
    }

    /// One line for each resource and place.
    private static func judge(_ answers: [(AccessNeed, Answer)]) -> ([Finding], [AccessNeed]) {
        struct Line {
            var allowed: [AccessNeed] = []
            var denied: [AccessNeed] = []
            var failed: KubernetesError?
        }
        var lines: [(key: String, line: Line)] = []
        for (need, answer) in answers {
            let resource = need.group.isEmpty ? need.resource : "\(need.resource).\(need.group)"
            let key = resource + (need.namespace.map { " in namespace \($0)" } ?? "")
            if lines.last?.key != key { lines.append((key, Line())) }
            switch answer {
            case .allowed: lines[lines.count - 1].line.allowed.append(need)
            case .denied: lines[lines.count - 1].line.denied.append(need)
            case .failed(let error): lines[lines.count - 1].line.failed = error
            }
        }
        var findings: [Finding] = []
        var denied: [AccessNeed] = []
        for (key, line) in lines {
            denied += line.denied
            if let error = line.failed {
                findings.append(.fail("rights", "\(key): \(error)", remedy(error)))
            } else if line.denied.isEmpty {
                findings.append(.ok("rights", "\(key): \(words(line.allowed))"))
            } else {
                let message = "\(key): denied: \(words(line.denied))"
                let remedy = "grant it: the rules stand at the end"
                findings.append(
                    line.denied.contains(where: \.isRequired)
                        ? .fail("rights", message, remedy) : .warn("rights", message, remedy))
            }
        }
        return (findings, denied)
    }

    private static let namesShown = 8

    /// `list, watch`, `get, watch of one, two`: verbs, and behind them the objects that they are for.
    static func words(_ needs: [AccessNeed]) -> String {
        var verbs: [String: [String]] = [:]
        for need in needs { verbs[need.name ?? "", default: []].append(need.verb) }
        var names: [String: [String]] = [:]
        for (name, verbs) in verbs { names[verbs.sorted().joined(separator: ", "), default: []].append(name) }
        return names.sorted { $0.key < $1.key }.map { verbs, names in
            if names == [""] { return verbs }
            let shown = names.sorted().prefix(namesShown).filter { !$0.isEmpty }
            return "\(verbs) of \(shown.joined(separator: ", "))"
                + (names.count > namesShown ? " and \(names.count - namesShown) more" : "")
        }.joined(separator: "; ")
    }
}
