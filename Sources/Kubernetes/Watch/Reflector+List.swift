// The listing half: pages of at most `pageObjects`, each decoded before the next is asked for, so that no more than one
// page's bytes are held.

import Foundation

extension ReflectorRun {
    /// Lists all objects and hands them over; returns the list's version. Pages that expire (410) are begun anew.
    mutating func list(_ resource: APIResource) async throws(KubernetesError) -> String {
        while true {
            do throws(KubernetesError) {
                let (objects, version) = try await pages(of: resource)
                await recovered()
                // Lists that succeed between watches that fail must not make the waits short again.
                if fruitlessWatches == 0 { backoff.reset() }
                isUnserved = false
                wasServed = true
                await tell(.replaced(objects))
                return version
            } catch {
                guard error.statusCode == 410, !Task.isCancelled else { throw await vanished(resource, error) }
                // Nothing is wrong yet: the pages took longer than the server keeps a version. Again and again is wrong.
                if !backoff.isFresh { await failing(error) }
                await sleep(backoff.next(retryAfterNanoseconds: error.retryAfterNanoseconds))
            }
        }
    }

    private func pages(
        of resource: APIResource
    ) async throws(KubernetesError) -> (objects: [Decoder.Object], version: String) {
        let scope = reflector.scope
        var query = ListQuery(
            limit: settings.pageObjects, labelSelector: scope.labelSelector, fieldSelector: scope.fieldSelector,
            isMetadataOnly: scope.isMetadataOnly)
        var objects: [Decoder.Object] = []
        var version: String?
        while true {
            let page = try await page(of: resource, query)
            objects += page.objects
            // The first page's: should a later one be newer, the watch repeats what lies between.
            if version == nil { version = page.resourceVersion }
            guard let version, !version.isEmpty else { throw unreadable(resource, "a list without resourceVersion") }
            if page.continueToken.isEmpty { return (objects, version) }
            guard page.continueToken != query.continueToken else {
                throw unreadable(resource, "a page that continues with itself")
            }
            guard objects.count <= settings.objectsMax else {
                throw unreadable(resource, "more than \(settings.objectsMax) objects")
            }
            query.continueToken = page.continueToken
        }
    }

    private func page(
        of resource: APIResource, _ query: ListQuery
    ) async throws(KubernetesError) -> ObjectPage<Decoder.Object> {
        let body = try await reflector.client.list(resource, namespace: reflector.scope.namespace, query: query)
        do { return try reflector.decoder.page(body, of: resource) } catch {
            // The decoder's own words may quote the body.
            throw unreadable(resource, "a list that cannot be decoded")
        }
    }

    func unreadable(_ resource: APIResource, verb: String = "list", _ reason: String) -> KubernetesError {
        KubernetesError(
            call: KubernetesClient.call(verb, resource, reflector.scope.namespace, nil),
            cause: .unreadableAnswer(reason))
    }
}
