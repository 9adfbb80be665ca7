// DockerHubNotification: Docker Hub's push payload (docs.docker.com, Docker Hub webhooks). No event type, no digest, no id.
//
// The host is always Docker Hub's: `repo_url` and `callback_url` are never looked at for it.

enum DockerHubNotification {
    static func read(_ body: JSONValue, aliases: HostAliases) -> BuildServiceMessage {
        guard let repository = repository(body) else { return .malformed }
        let written = body["push_data"]?["tag"] ?? .null
        // Payloads before 2015 have no tag.
        let tag = written.isNull ? nil : written.text
        guard written.isNull || tag != nil else { return .nothing(.bodyUnusable, event: "push", id: nil) }
        let named = tag.flatMap { $0.isEmpty ? nil : $0 }
        let reference = ImageReference(
            host: RegistryHost.dockerHub, repository: repository, tag: named ?? "latest", aliases: aliases)
        let changes = reference.map { [ImageChange(repository: .named($0.name), tag: named)] } ?? []
        return .changes(changes, event: "push", id: nil)
    }

    /// `namespace/name` as the payload has it; a name alone stays alone.
    static func repository(_ body: JSONValue) -> String? {
        guard let repository = body["repository"], repository.members != nil else { return nil }
        if let name = repository["repo_name"]?.text, !name.isEmpty { return name }
        guard let name = repository["name"]?.text, !name.isEmpty else { return nil }
        guard let namespace = repository["namespace"]?.text, !namespace.isEmpty else { return name }
        return namespace + "/" + name
    }
}
