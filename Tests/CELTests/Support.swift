import Foundation

@testable import CEL

func json(_ text: String) throws -> CELValue { try json(bytes: Array(text.utf8)) }

func json(bytes: [UInt8]) throws(CELJSONError) -> CELValue {
    let copy = Data(bytes)
    let result = copy.withUnsafeBytes { buffer in
        Result { () throws(CELJSONError) -> CELValue in try CELValue.parseJSON(buffer) }
    }
    return try result.get()
}

/// The value of an expression over `req`, given as JSON.
func evaluate(_ source: String, _ req: String = "{}", costMax: Int = CELProgram.costMaxDefault) throws -> CELValue {
    let program = try CELProgram.compile(source, variables: ["req"], expecting: .any)
    return try program.evaluate(["req": try json(req)], costMax: costMax)
}

func isTrue(_ source: String, _ req: String = "{}") -> Bool {
    do {
        return try evaluate(source, req) == .bool(true)
    } catch {
        return false
    }
}

/// The text of the error that compiling or evaluating gives; empty when there is none.
func failure(_ source: String, _ req: String = "{}") -> String {
    do {
        _ = try evaluate(source, req)
        return ""
    } catch {
        return "\(error)"
    }
}

func compileError(_ source: String, expecting: CELProgram.Expectation = .any) -> String {
    do throws(CELCompileError) {
        _ = try CELProgram.compile(source, variables: ["req"], expecting: expecting)
        return ""
    } catch {
        return error.message
    }
}
