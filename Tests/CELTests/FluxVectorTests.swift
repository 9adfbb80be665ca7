import Foundation
import Testing

@testable import CEL

/// Results recorded from cel-go with the options of Flux; see Fixtures/flux/cel.json.
@Suite struct FluxVectorTests {
    struct Vector: Sendable, CustomTestStringConvertible {
        let id: String
        let expression: String
        let variables: [String]
        let data: [String: CELValue]
        let isOK: Bool
        let result: CELValue?
        let stage: String?
        let referenceError: String

        var testDescription: String { "\(id) \(expression)" }

        init?(_ value: CELValue) {
            guard case .map(let vector) = value, case .map(let input)? = vector["input"],
                case .map(let expect)? = vector["expect"], case .string(let id)? = vector["id"],
                case .string(let expression)? = input["expression"], case .bool(let isOK)? = expect["ok"]
            else { return nil }
            self.id = id
            self.expression = expression
            self.isOK = isOK
            variables = input["variables"]?.strings ?? ["res", "req"]
            var data: [String: CELValue] = [:]
            if case .map(let map)? = input["data"] {
                for (key, value) in zip(map.keys, map.values) { data[key.text] = value }
            }
            self.data = data
            result = expect["result"]
            stage = expect["stage"]?.text
            referenceError = expect["referenceError"]?.text ?? ""
        }
    }

    static let vectors: [Vector] = {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appending(path: "../Fixtures/flux/cel.json")
        guard let bytes = try? Data(contentsOf: file), case .map(let suite)? = try? json(bytes: Array(bytes)),
            case .list(let vectors)? = suite["vectors"]
        else { return [] }
        return vectors.compactMap(Vector.init)
    }()

    @Test("all recorded vectors are read")
    func count() { #expect(Self.vectors.count == 145) }

    @Test("the stage and the result are those recorded", arguments: vectors)
    func vector(_ vector: Vector) {
        let program: CELProgram
        do throws(CELCompileError) {
            program = try CELProgram.compile(vector.expression, variables: vector.variables, expecting: .bool)
        } catch {
            #expect(vector.stage == "compile", "\(error.message)")
            return
        }
        guard vector.stage != "compile" else {
            Issue.record("compiled, against: \(vector.referenceError)")
            return
        }
        guard vector.result != nil || vector.stage != nil else { return }
        do throws(CELEvaluationError) {
            let result = try program.evaluate(vector.data)
            #expect(vector.isOK && result == vector.result)
        } catch {
            #expect(vector.stage == "eval", "\(error.message)")
        }
    }

    @Test("errors are worded as the reference words them, positions and all", arguments: vectors.filter { !$0.isOK })
    func wording(_ vector: Vector) {
        // Where the wording is the reference's parser generator's own.
        guard !vector.referenceError.contains("Syntax error") else { return }
        var text = vector.referenceError
        if let range = text.range(of: "ERROR: <input>:") { text.removeSubrange(range) }
        let message: String
        do {
            let program = try CELProgram.compile(vector.expression, variables: vector.variables, expecting: .bool)
            message = try "\(program.evaluate(vector.data))"
        } catch {
            message = "\(error)"
        }
        #expect(message.hasSuffix(text), "\(message)")
    }
}

extension CELValue {
    fileprivate var text: String? { if case .string(let text) = self { text } else { nil } }

    fileprivate var strings: [String]? {
        guard case .list(let elements) = self else { return nil }
        return elements.compactMap(\.text)
    }
}
