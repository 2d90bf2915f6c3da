"""The computations behind figures of the pages here."""
