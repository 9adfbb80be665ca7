// Planning: what is looked up and evaluated for a delivery after it was answered: the repository's followers, a filter, a receiver's
// rules. None of it is on the way to the answer but the rules.

import Delivery

func planningOperations() -> [Operation] {
    [
        Operation("Planning: match a push against 10,000 indexed objects") {
            let index = RepositoryIndex((0..<10_000).map(source))
            let events = [7, 4321, 2048, 9998].map { number in
                var event = Event(kind: "push", ref: "refs/heads/main")
                event.repositoryURLs = [
                    "https://git.example.com/org/repo-\(number).git", "git@git.example.com:org/repo-\(number).git",
                    "https://git.example.com/org/repo-\(number)",
                ]
                return event
            }
            guard case .targets(let found) = index.match(events[0], kinds: ["GitRepository"], namespaces: []),
                found.count == 1
            else { preconditionFailure("the repository's follower is not found") }
            return { count in
                for number in 0..<count {
                    if case .targets(let targets) = index.match(
                        events[number & 3], kinds: ["GitRepository"], namespaces: [])
                    {
                        consume(targets.count)
                    }
                }
            }
        },
        Operation("Planning: read a push of 8 KiB for its filters") {
            let request = pushRequest()
            return { count in
                for _ in 0..<count { consume(FilterRequest(request, sender: .github) == nil ? 0 : 1) }
            }
        },
        Operation("Planning: evaluate a filter on a read push") {
            guard let filter = try? Filter("req.ref.startsWith('refs/heads/') && res.metadata.name == 'webapp'"),
                let request = FilterRequest(pushRequest(), sender: .github)
            else { preconditionFailure("the filter does not compile") }
            let resource = FilterResource(
                TargetReference(apiVersion: nil, kind: "GitRepository", namespace: "team-a", name: "webapp"))
            return { count in
                for _ in 0..<count { consume((try? filter.accepts(request, resource)) == true ? 1 : 0) }
            }
        },
        Operation("Planning: rule on a BuildConfig's push of 8 KiB") {
            let rules = OpenShiftRules(
                BuildConfigFacts(
                    namespace: "team-a", name: "orders",
                    triggers: [.init(type: .github, inlineSecret: SecretBytes(Samples.secret))],
                    git: .init(uri: "https://git.example.com/org/orders", ref: "main")))
            var request = pushRequest()
            let secret = String(decoding: Samples.secret, as: UTF8.self)
            request.path =
                "/apis/build.openshift.io/v1/namespaces/team-a/buildconfigs/orders/webhooks/\(secret)/github"
            return { count in
                for _ in 0..<count { consume(Int(rules.rule(on: request, now: 0).answer.status)) }
            }
        },
    ]
}

private func source(_ number: Int) -> SourceObject {
    let url =
        switch number % 3 {
        case 0: "https://git.example.com/org/repo-\(number).git"
        case 1: "ssh://git@git.example.com/org/repo-\(number)"
        default: "git@git.example.com:org/repo-\(number).git"
        }
    return SourceObject(
        target: TargetReference(
            apiVersion: nil, kind: "GitRepository", namespace: "team-\(number % 50)", name: "repo-\(number)"),
        url: url, isImage: false, rule: .branch("main"))
}

private func pushRequest() -> InboundRequest {
    InboundRequest(
        method: "POST", path: "/hook/x",
        fields: [
            .init(name: "Content-Type", value: "application/json"), .init(name: "X-GitHub-Event", value: "push"),
        ], body: Samples.pushBody)
}
