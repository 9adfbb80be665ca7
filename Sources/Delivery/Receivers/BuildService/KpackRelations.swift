// KpackRelations: whose next build a refreshed object concerns.
//
// A change travels from stack, store, buildpack or lifecycle to the builders that use it, and from a builder to the Images built
// with it. For `forceBuild` the latest Build of each such Image is marked; the Image itself never is, since its builds inherit
// its annotations and each would demand the next.

struct KpackRelations: Sendable {
    private struct Key: Hashable {
        let group: String
        let object: KpackReference
    }

    /// Builders that name an object.
    private var builders: [Key: [Int]] = [:]
    /// Builders that name a buildpack by id only.
    private var buildersByBuildpack: [String: [Int]] = [:]
    /// Images that have a Build, by their builder.
    private var images: [Key: [Int]] = [:]

    init(_ objects: [KpackObject]) {
        for (index, object) in objects.enumerated() {
            if object.kind == "Image" {
                guard object.latestBuild != nil else { continue }
                for builder in object.uses {
                    images[Key(group: object.group, object: builder), default: []].append(index)
                }
                continue
            }
            for used in object.uses { builders[Key(group: object.group, object: used), default: []].append(index) }
            for id in Set(object.usedBuildpacks) { buildersByBuildpack[id, default: []].append(index) }
        }
    }

    /// The Images behind some objects, ascending, each once.
    func images(behind affected: [Int], of objects: [KpackObject]) -> [Int] {
        var all = Set(affected)
        for index in affected {
            let object = objects[index]
            all.formUnion(builders[Self.key(of: object)] ?? [])
            for id in object.providedBuildpacks {
                // A Buildpack is seen by the Builders of its namespace, a ClusterBuildpack by all.
                all.formUnion(
                    (buildersByBuildpack[id] ?? []).filter {
                        object.namespace.isEmpty || objects[$0].namespace == object.namespace
                    })
            }
        }
        return Set(all.flatMap { images[Self.key(of: objects[$0])] ?? [] }).sorted()
    }

    private static func key(of object: KpackObject) -> Key {
        Key(
            group: object.group,
            object: KpackReference(kind: object.kind, namespace: object.namespace, name: object.name))
    }
}

extension ImageIndex {
    /// The latest Builds of the Images behind some objects.
    func builds(behind affected: [Int]) -> [TargetReference] {
        relations.images(behind: affected, of: objects).compactMap { index in
            let image = objects[index]
            return image.latestBuild.map {
                TargetReference(
                    cluster: cluster, apiVersion: image.apiVersion, kind: "Build", namespace: image.namespace, name: $0)
            }
        }
    }
}
